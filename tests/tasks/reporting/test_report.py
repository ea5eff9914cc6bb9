"""The report of a run is composed from the results of its steps."""

import pytest

from tasks.data.validate import Validated
from tasks.evaluation.checks import apply_gate
from tasks.evaluation.gate import Baseline, Gate, SmokeTest
from tasks.evaluation.metrics import Evaluation
from tasks.model.hyperparameters import Hyperparameters
from tasks.reporting.report import count_parameters, report
from tests.tasks.conftest import Lesson


def test_parameters_are_counted(lesson: Lesson) -> None:
    """The parameters of a file of weights are as many as Keras counts in the network."""
    from tasks.model.network import build_network

    network = build_network(lesson.hyperparameters, lesson.images.train.shape[1:], lesson.targets.train.shape[1])
    assert count_parameters(lesson.store.path(lesson.trained.weights)) == network.count_params()


@pytest.mark.parametrize("has_champion", [False, True])
def test_report_of_a_run(has_champion: bool, lesson: Lesson) -> None:
    """The report has the verdict, the digests and the metrics of the run, and the champion's matrix if there is one."""
    store, scored, hp = lesson.store, lesson.scored, lesson.hyperparameters
    champion = scored.probabilities if has_champion else None
    verdict = apply_gate(
        Gate(min_accuracy=0),
        Evaluation.model_validate(store.get_json(scored.evaluation)),
        store.get(scored.probabilities),
        labels=store.get(lesson.data.test.labels),
        smoke_test=SmokeTest(weights_bytes=1, latency_ms=1.0, throughput=1.0),
        baseline=Baseline(version=7) if has_champion else Baseline(absence="no champion yet"),
    )
    reported = report.fn(
        ("digits", "tutorial", 1),
        hp,
        Validated(
            data=lesson.data.model_copy(update={"class_names": ("cat",)}),
            report=store.put_json({"errors": [], "warnings": [], "train": {"classes": [5, 6]}}),
        ),
        recipe_hyperparameters=Hyperparameters(),
        trained=lesson.trained,
        scored=scored,
        baseline_probabilities=champion,
        verdict=store.put_json(verdict.model_dump(mode="json")),
        store=store,
    )
    page, pieces = store.path(reported.html).read_text(), store.get_json(reported.markdown)
    assert "cat: 45.45% of the train images" in page and "| cat | 5 |" in pieces["validation"]
    assert "Every check of the gate holds." in page and lesson.trained.weights.sha256 in page
    assert ("champion" in pieces, "Against the champion, version 7" in page) == (has_champion, has_champion)
