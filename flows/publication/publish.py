"""Publish a run that ended: its files for people, its model in the registry, and its manifest."""

import time
from pathlib import Path

from artifacts.errors import UsageError
from artifacts.lineage.manifest import Run
from artifacts.storage.home import MODELS
from artifacts.storage.store import Ref
from flows.plan import Plan
from flows.publication.announcements import announce_promotion, confirm_champion
from flows.publication.outcome import Outcome, Stopped
from flows.publication.prefect_page import flow_file, log_verdict, rename_flow_run, show_report
from flows.publication.registration import decide
from flows.recorded_run import slug, while_running
from flows.steps import Results, read_scores
from tasks.evaluation.gate import SmokeTest, Verdict
from tasks.evaluation.metrics import Evaluation
from tasks.registry.mlflow_client import Tracking
from tasks.registry.promotion import Consent
from tasks.registry.registry import Registry
from tasks.reporting.run_facts import with_run_facts


def publish(
    plan: Plan, results: Results, run: Run, *, started: float, consent: Consent | None = None, in_flow: bool = True
) -> Outcome:
    """Export weights and report, promote the model if it passed, and close the run; `in_flow`, show it in Prefect too.

    `started` is monotonic, in seconds. Raises ChampionChanged if another run was promoted meanwhile, and DigitflowError
    if the server has ended the run.
    """
    store, dataset, weights = run.store, plan.source.name, results.learned.saved.weights
    evaluation, verdict = read_scores(results, store)
    if in_flow:
        show_report(plan, store.get_json(results.judged.report.markdown))
    write_report(results, run, started)  # before the decision, so that it can be read if that fails
    source = flow_file() if in_flow else "digitflow"
    decision = decide(plan, results, run, while_running(consent) if in_flow else consent, source=source)
    page = write_report(results, run, started, decision.version)
    path = run.export(weights, _place(plan, weights, verdict, run))
    _finish(run, results, evaluation, verdict, version=decision.version)
    if decision.promoted:
        announce_promotion(dataset, decision.version, run=run.manifest.run, reason=verdict.reason)
    champion = Registry(store.home).champion_number(dataset)
    if in_flow:
        log_verdict(evaluation, verdict, decision.version)
        confirm_champion(run.manifest, champion)
    outcome = Outcome.of(
        plan, results, run, decision=decision, champion=champion, weights=path, report=page, started=started
    )
    if in_flow:
        rename_flow_run(outcome.headline)
    return outcome


def stop(plan: Plan, run: Run, started: float) -> Stopped:
    """Close a run that ended after a step, as it was asked to. `started` is monotonic, in seconds.

    Raises UsageError if the run did not have that step.
    """
    last = run.manifest.steps[-1].name
    if last != plan.until:
        raise UsageError(f"this run has no step {plan.until!r}; it ended with {last}, and nothing was registered")
    run.finish("stopped")
    return Stopped.of(plan, run, started)


def write_report(results: Results, run: Run, started: float, version: int | None = None) -> Path:
    """Write the report, with the facts of its run, into the run's folder. `started` is monotonic, in seconds."""
    page = run.store.path(results.judged.report.html).read_bytes()
    tried = SmokeTest.model_validate(run.store.get_json(results.learned.saved.smoke_test))
    page = with_run_facts(page, run.manifest, tried, version=version, seconds=time.monotonic() - started)
    return run.write(page, "html", f"{run.folder}/report.html")


def _place(plan: Plan, weights: Ref, verdict: Verdict, run: Run) -> str:
    """The path of the weights below the home. Those of a rejected model stay in the folder of its run."""
    if not verdict.passed:
        return f"{run.folder}/rejected.weights.h5"
    return f"{MODELS}/{slug(plan.source.name)}-{plan.recipe}-{weights.sha256[:12]}.weights.h5"


def _finish(run: Run, results: Results, evaluation: Evaluation, verdict: Verdict, *, version: int) -> None:
    """Close the run in its manifest, with what later runs must know to judge no model twice."""
    run.finish(
        "passed" if verdict.passed else "rejected",
        accuracy=evaluation.accuracy,
        registry=Tracking(run.store.home).key,
        version=version,
        weights=results.learned.saved.weights,
        test=results.validated.data.test.images,
        baseline=verdict.baseline.model_dump(mode="json"),
    )
