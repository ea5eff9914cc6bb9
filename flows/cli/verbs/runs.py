"""The verbs `runs` and `verify`: list the runs, and check whether what a run left is intact."""

from datetime import UTC, datetime

from artifacts.lineage.audit import verify as verify_run
from artifacts.lineage.manifest import Manifest, damaged_manifests, find_manifest, is_alive, manifests
from artifacts.storage.settings import Settings
from flows.cli.output import format_age, print_note, show_json, show_table
from flows.cli.switch import Switch

JSON_FIELDS = {"run", "dataset", "recipe", "seed", "accuracy", "started", "ended", "error"}


def runs(*, json: Switch = False) -> int:
    """List the runs, the latest first.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    for path in damaged_manifests(store):
        print_note(f"{path} is damaged; its run is not listed. Delete the folder if you do not need it")
    listed = [(manifest, _status(manifest, is_alive(store, manifest))) for manifest in manifests(store)]
    if json:
        show_json([m.model_dump(mode="json", include=JSON_FIELDS) | {"verdict": status} for m, status in listed])
        return 0
    now = datetime.now(UTC)
    rows = [
        (
            *(m.run, m.dataset, m.recipe, "" if m.accuracy is None else f"{m.accuracy:.2%}"),
            f"{status}: {m.error}" if m.error else status,
            format_age((now - m.started).total_seconds()),
        )
        for m, status in listed
    ]
    if not rows:
        print_note("no runs yet; digitflow train makes the first")
    show_table([("RUN", "DATA SET", "RECIPE", "ACCURACY", "VERDICT", "AGE"), *rows])
    return 0


def verify(run: str, *, json: Switch = False) -> int:
    """Check the artifacts, the cache keys and the code of a run against its manifest.

    The exit status is 1 if something is missing or differs.

    Parameters
    ----------
    run: str
        Name of a run, or a part of it that no other run has; see: digitflow runs
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    claims = verify_run(store, find_manifest(store, run))
    broken = [claim for claim in claims if claim.state != "holds"]
    if json:
        show_json([claim.model_dump() for claim in claims])
    else:
        show_table([("STEP", "WHAT", "STATE"), *((c.step, c.what, c.state) for c in claims)])
        print_note(f"{len(broken)} of {len(claims)} do not hold" if broken else f"all {len(claims)} hold")
    return int(bool(broken))


def _status(manifest: Manifest, alive: bool) -> str:
    return "killed" if manifest.status == "running" and not alive else manifest.status
