"""The verbs `train` and `explain-cache`: train a model and promote it if it passes, and preview what that computes."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from artifacts.errors import InvalidData, Rejected, Unreachable
from flows.cli.options import MODEL_GROUP, TrainingOptions
from flows.cli.output import print_note, show_json, show_outcome, show_stopped, show_table
from flows.cli.servers import is_cache_refreshed, is_server_configured
from flows.cli.switch import Switch
from tasks.data.datasets import SAMPLE

if TYPE_CHECKING:
    from artifacts.storage.settings import Settings
    from flows.plan import Plan
    from flows.publication.outcome import Outcome, Stopped


REASONS = 5
"""Changes that the table names for each step."""


def train(
    *,
    options: TrainingOptions | None = None,
    until: Annotated[str, Parameter(group=MODEL_GROUP, show_default=False)] = "",
    or_sample: Switch = False,
    json: Switch = False,
    verbose: Switch = False,
) -> int:
    """Train, evaluate, check and save a model. The cache answers for each step whose inputs, code and libraries are the
    same as before.

    Example: digitflow train --dataset fashion-mnist --epochs 5 --min-accuracy 0.87

    Parameters
    ----------
    until: str
        Step after which the run ends, such as validate. Default: the last.
    or_sample: bool
        If no mirror answers within 6 s, print a warning and use mnist-sample.
    json: bool
        Print one JSON object on stdout, and everything else on stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    from artifacts.lineage.notices import posting

    parameters = (options or TrainingOptions()).parameters() | {"until": until}
    with posting(is_server_configured()):
        return _train(parameters, or_sample, json, verbose=verbose)


def _train(parameters: dict[str, Any], or_sample: bool, json: bool, *, verbose: bool) -> int:
    started = time.monotonic()
    from artifacts.storage.settings import Settings
    from flows.plan import Plan

    settings, has_server = Settings.load(), is_server_configured()
    plan = Plan.of(**parameters, settings=settings)  # raises UsageError before a server is started
    if note := _left_out(plan, parameters, settings):
        print_note(note)
    if not (has_server or verbose or is_cache_refreshed()) and (unchanged := _unchanged(plan, settings, started)):
        return _show(unchanged, json)
    from flows.preview import check_own_data, describe_silence, silent_mirrors

    if reasons := silent_mirrors(plan, settings, is_cache_refreshed()):
        if not or_sample:
            raise Unreachable(describe_silence(plan, reasons))
        print_note(f"no mirror of {plan.source.name} answers; using {SAMPLE} instead, so expect a lower accuracy")
        parameters |= {"dataset": SAMPLE}
        plan = Plan.of(**parameters, settings=settings)
    try:
        warnings = check_own_data(plan, settings, is_cache_refreshed())
    except InvalidData as error:
        if json:
            show_json({"error": str(error), "report": error.report})
        raise
    for warning in warnings:
        print_note(f"warning: {warning}")
    outcome = _run(plan, parameters, settings, verbose)
    outcome.seconds = round(time.monotonic() - started, 2)
    return _show(outcome, json, warnings)


def _show(outcome: "Outcome | Stopped", as_json: bool, told: Sequence[str] = ()) -> int:
    """Print how a run ended, but not the warnings that were told before it; returns the exit status."""
    from flows.publication.outcome import Stopped

    if isinstance(outcome, Stopped):
        show_stopped(outcome, as_json)
        return 0
    show_outcome(outcome, as_json, told)
    return 0 if outcome.gate.passed else Rejected.exit_code


def _left_out(plan: "Plan", parameters: dict[str, Any], settings: "Settings") -> str:
    """What to say of the accepted batches of the data set, which a training leaves out; empty if there are none."""
    from tasks.retraining.ledger import read_ledger

    name, store = plan.source.name, settings.artifacts
    batches = [batch for batch in read_ledger(name, store) if not batch.withdrawn]
    if not batches:
        return ""
    from tasks.registry.registry import Registry
    from tasks.retraining.states import versions_by_batch

    registry = Registry(settings.home)
    champion, versions = registry.champion_number(name), versions_by_batch(store, registry)
    is_champions = any(champion in versions.get((name, batch.digest), ()) for batch in batches)
    learned = f", from which the champion, version {champion}, learned" * is_champions
    images = sum(batch.data.labels.shape[0] for batch in batches)
    start = "" if is_server_configured() else "make up deploy, then name its server in PREFECT_API_URL, then "
    called = f" --param dataset_name={parameters['dataset_name']}" if parameters["dataset_name"] else ""
    return (
        f"{name} has {images:,} image{'s' * (images > 1)} of accepted batches{learned}; this training leaves them out, "
        f"and a part of them judges what it trains; to learn from them: {start}prefect deployment run "
        f"retraining/on-demand --param dataset={parameters['dataset']}{called}"
    )


def _unchanged(plan: "Plan", settings: "Settings", started: float) -> "Outcome | Stopped | None":
    """The outcome if nothing changed since an earlier run. It needs no server, no Prefect, no Keras and no MLflow."""
    from flows.cli.output import log_on_stderr
    from flows.preview import repeat_unchanged

    with log_on_stderr():
        return repeat_unchanged(plan, settings, started)


def _run(plan: "Plan", parameters: dict[str, Any], settings: "Settings", verbose: bool) -> "Outcome | Stopped":
    """Run the flow `training`. Its steps' libraries are imported while a new server starts."""
    from artifacts.lineage.progress import report_progress
    from flows.cli.session import session
    from flows.preview import warm_up

    has_server = is_server_configured()
    with session(settings, verbose) as wait_for_server:
        if not has_server:  # with a configured one, the flow warms up by itself
            warm_up(plan, settings)
        wait_for_server()
        report_progress("start", done=1, total=1)
        from flows.training import training

        outcome: Outcome | Stopped = training(**parameters)
        return outcome


def explain_cache(*, options: TrainingOptions | None = None, json: Switch = False) -> int:
    """Show for each step whether `train` with the same options takes it from the cache, and if not, what changed.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    from artifacts.storage.settings import Settings
    from flows.plan import Plan

    settings = Settings.load()
    plan = Plan.of(**(options or TrainingOptions()).parameters(), settings=settings)
    from flows.preview import preview

    findings = preview(plan, settings, is_cache_refreshed())
    if json:
        show_json([finding.model_dump(mode="json") for finding in findings])
    else:
        rows = [(finding.name, finding.cache, _first(finding.reasons)) for finding in findings]
        show_table([("STEP", "CACHE", "WHY"), *rows])
    return 0


def _first(reasons: list[str]) -> str:
    more = f"; and {len(reasons) - REASONS} more, see --json" if len(reasons) > REASONS else ""
    return "; ".join(reasons[:REASONS]) + more
