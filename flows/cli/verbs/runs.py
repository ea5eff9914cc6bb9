"""The verbs `runs` and `verify`: list the runs, and check whether what a run left is intact."""

from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from artifacts.errors import hide_passwords
from artifacts.lineage.audit import verify as verify_run
from artifacts.lineage.manifest import Manifest, damaged_manifests, find_manifest, is_alive, manifests
from artifacts.storage.settings import Settings
from flows.cli.output import format_age, print_note, show_json, show_table
from flows.cli.servers import ask_server, configured_url
from flows.cli.switch import Switch

JSON_FIELDS = {"run", "dataset", "recipe", "seed", "accuracy", "started", "ended", "error", "version"}
DELAYED = ("Late", "Pending", "Submitting", "AwaitingConcurrencySlot", "Cancelling")
ENDED = ("Crashed", "Failed", "Cancelled")
"""The states, as Prefect names them, of a run that should have started and has not, or never will."""
PAGE, MOST = 200, 1000
"""Runs that Prefect's server gives at once, and the most that are asked for."""


def runs(*, json: Switch = False) -> int:
    """List the runs, the latest first. If PREFECT_API_URL names a server, also those that should have started there and
    have not.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    for path in damaged_manifests(store):
        print_note(f"{path} is damaged; its run is not listed. Delete the folder if you do not need it")
    recorded = [
        run.model_dump(mode="json", include=JSON_FIELDS)
        | {"verdict": _status(run, is_alive(store, run)), "cached": _is_cached(run)}
        for run in manifests(store)
    ]
    listed = sorted([*_never_started(), *recorded], key=_when, reverse=True)
    if json:
        show_json(listed)
        return 0
    if not listed:
        print_note("no runs yet; digitflow train makes the first")
    show_table([("RUN", "DATA SET", "RECIPE", "ACCURACY", "AGE", "VERDICT"), *map(_row, listed)])
    return 0


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    accuracy = "" if run["accuracy"] is None else f"{run['accuracy']:.2%}"
    version = f", version {run['version']}" if run["version"] is not None else ""
    error = f": {run['error']}" if run["error"] else ""
    verdict = run["verdict"] + version + ", from cache" * run["cached"] + error
    age = format_age((datetime.now(UTC) - _when(run)).total_seconds())
    return run["run"], run["dataset"], run["recipe"], accuracy, age, verdict


def _when(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["started"] or run["ended"])


class _State(BaseModel):
    name: str
    message: str | None
    timestamp: AwareDatetime


class _FlowRun(BaseModel):
    """What Prefect's server tells of a run."""

    name: str
    parameters: dict[str, Any]
    run_count: int
    state: _State

    @property
    def row(self) -> dict[str, Any]:
        """A run without a manifest, as JSON."""
        word = "never started" if self.state.name in ENDED else "not started yet"
        return {
            "run": self.name,
            "dataset": hide_passwords(str(self.parameters.get("dataset") or "")),
            "recipe": str(self.parameters.get("recipe") or ""),
            "seed": self.parameters.get("seed"),
            "accuracy": None,
            "started": None,
            "ended": self.state.timestamp.isoformat(),
            "error": hide_passwords(self.state.message or "") or None,
            "verdict": f"{word}, {self.state.name}",
            "cached": False,
            "version": None,
        }


def _never_started() -> list[dict[str, Any]]:
    """The runs of the named server that should have started and have not, as JSON. They have no manifest, but people
    must hear of them.
    """
    if not (url := configured_url()):
        return []
    wanted = {"tags": {"all_": ["digitflow"]}, "state": {"name": {"any_": (*DELAYED, *ENDED)}}}
    found = list[_FlowRun]()
    try:
        for place in range(0, MOST, PAGE):
            body = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_DESC", "offset": place, "limit": PAGE}
            page = TypeAdapter(list[_FlowRun]).validate_python(ask_server(url, "flow_runs/filter", body)[1])
            found += page
            if len(page) < PAGE:
                break
    except ValidationError:
        print_note(f"{hide_passwords(url)} cannot be asked, so runs that never started are not listed")
    return [run.row for run in found if run.run_count == 0]  # a crashed run has a start time, started or not


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


def _is_cached(manifest: Manifest) -> bool:
    """Whether a run came to its end, and took the result of every step from the cache."""
    is_whole = manifest.status not in ("running", "failed", "interrupted")
    return is_whole and bool(manifest.steps) and all(step.cached for step in manifest.steps)


def _status(manifest: Manifest, alive: bool) -> str:
    return "killed" if manifest.status == "running" and not alive else manifest.status
