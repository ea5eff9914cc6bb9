"""The verbs `runs` and `verify`: which runs there were, and whether what they left is intact."""

from datetime import UTC, datetime
from typing import Annotated

from artifacts.lineage.audit import verify as verify_run
from artifacts.lineage.manifest import Manifest, damaged_runs, find, is_alive, manifests
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag
from flows.cli.verbs.cache import _age


def runs(*, json: Annotated[bool, Flag] = False) -> int:
    """List the runs, the latest first.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    for path in damaged_runs(store):
        console.say(f"{path} is damaged; its run is not listed. Delete the folder if you do not need it")
    shown = [(manifest, _status(manifest, is_alive(store, manifest))) for manifest in manifests(store)]
    if json:
        fields = {"run", "dataset", "recipe", "seed", "accuracy", "started", "ended", "error"}
        console.show_json([m.model_dump(mode="json", include=fields) | {"verdict": status} for m, status in shown])
        return 0
    rows = [
        (m.run, m.dataset, m.recipe, "" if m.accuracy is None else f"{m.accuracy:.2%}", status, _age(_since(m)))
        for m, status in shown
    ]
    console.show_table([("RUN", "DATA SET", "RECIPE", "ACCURACY", "VERDICT", "AGE"), *rows])
    return 0


def verify(run: str, *, json: Annotated[bool, Flag] = False) -> int:
    """Digest a run's artifacts anew, derive its cache keys anew, and compare. Exit status 1 unless all holds.

    Parameters
    ----------
    run: str
        Name of a run, or a part that only it has; see: digitflow runs
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    claims = verify_run(store, find(store, run))
    if json:
        console.show_json([claim.model_dump() for claim in claims])
    else:
        console.show_table([("STEP", "WHAT", "STATE"), *((c.step, c.what, c.state) for c in claims)])
    return int(any(claim.state != "holds" for claim in claims))


def _status(manifest: Manifest, alive: bool) -> str:
    return "killed" if manifest.status == "running" and not alive else manifest.status


def _since(manifest: Manifest) -> float:
    return (datetime.now(UTC) - manifest.started).total_seconds()
