"""Which run a report is of. The step `report` cannot know it, so it is written into the page when the run ends."""

import hashlib
import html
from collections.abc import Mapping

from artifacts.lineage.manifest import Manifest
from artifacts.storage.store import canonical_json
from tasks.evaluation.gate import SmokeTest

MARK = "<!-- the run -->"
"""Where a page takes the facts. Nothing that users name can contain it, since the page escapes their texts."""
LIBRARIES = ("python", "keras", "tensorflow", "jax", "numpy", "prefect")


def with_run_facts(
    page: bytes, manifest: Manifest, smoke_test: SmokeTest, *, version: int | None, seconds: float
) -> bytes:
    """The page of a report with the facts of its run, which took `seconds`, and the model's version, if registered."""
    return insert_facts(page, run_facts(manifest, smoke_test, version=version, seconds=seconds))


def insert_facts(page: bytes, facts: Mapping[str, str]) -> bytes:
    """The page with facts, words by their names, at its mark."""
    rows = [f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in facts.items()]
    return page.replace(MARK.encode(), "\n".join(rows).encode(), 1)


def run_facts(manifest: Manifest, smoke_test: SmokeTest, *, version: int | None, seconds: float) -> dict[str, str]:
    """Version, run, date, duration, latency, throughput, machine, libraries and code, in words by their names."""
    facts = {"Version": str(version)} if version else {}
    return facts | {
        "Run": manifest.run,
        "Date": f"{manifest.started:%Y-%m-%d %H:%M} UTC",
        "Duration": _duration(manifest, seconds),
        "Latency": f"{smoke_test.latency_ms:.2f} ms, median of one image",
        "Throughput": f"{smoke_test.throughput:,.0f} images/s, in batches",
        **_machine(manifest),
        "Code": f"{_code(manifest)} (runs of the same code have the same)",
    }


def experiment_facts(manifest: Manifest, *, computed: int, cached: int, seconds: float) -> dict[str, str]:
    """Run, date, duration, trials, machine and libraries of an experiment, in words by their names."""
    return {
        "Run": manifest.run,
        "Date": f"{manifest.started:%Y-%m-%d %H:%M} UTC",
        "Duration": f"{seconds:.1f} s",
        "Trials": f"{computed} computed, {cached} from the cache",
        **_machine(manifest),
    }


def _machine(manifest: Manifest) -> dict[str, str]:
    machine = manifest.machine
    system = str(machine.get("platform")).partition("-")[0]
    return {
        "Machine": f"{system} on {machine.get('processor')}, {machine.get('cores')} cores",
        "Libraries": ", ".join(f"{name} {machine[name]}" for name in LIBRARIES if name in machine),
    }


def _duration(manifest: Manifest, seconds: float) -> str:
    trained = next((step for step in manifest.steps if step.name == "train"), None)
    if trained is None or trained.cached:
        return f"{seconds:.1f} s; an earlier run trained the model"
    return f"{seconds:.1f} s, of these {trained.seconds:.1f} s training"


def _code(manifest: Manifest) -> str:
    """A digest of the code that the steps of a run reach."""
    return hashlib.sha256(canonical_json([sorted(step.call.code.values()) for step in manifest.steps])).hexdigest()[:12]
