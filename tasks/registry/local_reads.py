"""The SQL on MLflow's local database: a lookup in a millisecond, where the import of MLflow takes seconds."""

import contextlib
import json
import sqlite3
from pathlib import Path

from tasks.registry.versions import PREFIX, RECORD, VISIBLE_RECORD, WITHDRAWN, RegisteredModel, VersionRow

_MODELS = """
SELECT name,
       (SELECT json_group_object(alias, version) FROM registered_model_aliases AS a WHERE a.name = m.name),
       (SELECT json_group_object(key, value) FROM registered_model_tags AS t WHERE t.name = m.name),
       (SELECT json_group_array(json_array(version, creation_time, run_id,
                   coalesce((SELECT value FROM model_version_tags AS t
                             WHERE t.name = v.name AND t.version = v.version AND t.key = :record),
                            (SELECT value FROM model_version_tags AS t
                             WHERE t.name = v.name AND t.version = v.version AND t.key = :visible)),
                   (SELECT value FROM model_version_tags AS t
                    WHERE t.name = v.name AND t.version = v.version AND t.key = :withdrawn)))
        FROM model_versions AS v WHERE v.name = m.name AND v.current_stage != 'Deleted_Internal')
FROM registered_models AS m WHERE name GLOB :ours AND (:name IS NULL OR name = :name)
"""


class LocalDatabase:
    """MLflow's SQLite database below the home. Raises sqlite3.Error where it is locked or has another schema."""

    def __init__(self, path: Path):
        self.path = path

    def models(self, name: str | None = None) -> list[RegisteredModel]:
        """The registered model of that name, or all of ours; none if there is no database yet."""
        if not self.path.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            keys = {"record": RECORD, "visible": VISIBLE_RECORD, "withdrawn": WITHDRAWN}
            rows = database.execute(_MODELS, {"ours": f"{PREFIX}*", "name": name} | keys).fetchall()
        return [
            RegisteredModel(name, json.loads(aliases), json.loads(tags), [VersionRow(*v) for v in json.loads(versions)])
            for name, aliases, tags, versions in rows
        ]

    def move_files(self, experiment: str, folder: str) -> None:
        """Make `folder`, a URI, the place of an experiment's files: MLflow keeps the old one when a home is moved."""
        with contextlib.closing(sqlite3.connect(self.path)) as database, database:
            query = "SELECT artifact_location FROM experiments WHERE name = ? AND artifact_location != ?"
            for (before,) in database.execute(query, (experiment, folder)).fetchall():
                database.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", (folder, experiment))
                database.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", (before, folder))
