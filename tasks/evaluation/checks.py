"""The checks of the gate: on the model itself, on its comparison with a baseline, and on its size and speed."""

from collections.abc import Iterator
from fractions import Fraction

from artifacts.storage.arrays import Labels, Probabilities
from tasks.data.datasets import name_of
from tasks.evaluation.gate import Baseline, Check, Gate, SmokeTest, Verdict
from tasks.evaluation.metrics import Evaluation, calibration_error, measure
from tasks.evaluation.paired_tests import PairedCounts, difference_interval, discordant, non_inferiority, superiority


def apply_gate(
    gate: Gate,
    evaluation: Evaluation,
    probabilities: Probabilities,
    *,
    labels: Labels,
    smoke_test: SmokeTest,
    baseline: Baseline,
    baseline_probabilities: Probabilities | None = None,
    counts_on_new_images: PairedCounts | None = None,
    class_names: tuple[str, ...] = (),
) -> Verdict:
    """Check a model against each limit of the gate, and against the baseline's probabilities for the same images.

    Without `min_accuracy`, it must beat always guessing the most frequent class. `counts_on_new_images` compare it with
    the baseline on held-out new images. `class_names` are those of a data set.
    """
    accuracy = _accuracy(gate, evaluation)
    checks = [accuracy, *_absolute(gate, evaluation, probabilities, labels=labels, class_names=class_names)]
    champion = f"version {baseline.version}"
    if baseline_probabilities is not None:
        checks.append(_against(gate, champion, discordant(probabilities, baseline_probabilities, labels)))
        if gate.max_recall_loss is not None:
            theirs = measure(baseline_probabilities, labels)
            checks.append(_worst_class(gate.max_recall_loss, champion, evaluation, theirs, class_names=class_names))
    if counts_on_new_images is not None:
        checks.append(_on_new_images(gate, champion, counts_on_new_images))
    checks += _operational(gate, smoke_test)
    return Verdict(
        passed=all(check.passed for check in checks),
        threshold=accuracy.threshold,
        checks=tuple(checks),
        baseline=baseline,
        never_recognised=tuple(
            f"class {name_of(c.label, class_names)} (0 of {c.support} test image{'s' * (c.support > 1)})"
            for c in evaluation.per_class
            if c.support and not c.recall
        ),
    )


def _accuracy(gate: Gate, evaluation: Evaluation) -> Check:
    value = evaluation.accuracy if gate.accuracy_bound == "estimate" else evaluation.interval[0]
    name = "accuracy" if gate.accuracy_bound == "estimate" else "accuracy (lower bound)"
    if gate.min_accuracy is not None:
        check = _at_least(name, value, gate.min_accuracy)
    else:
        chance = max(c.support for c in evaluation.per_class) / evaluation.count
        check = Check(name=name, value=value, threshold=chance, passed=value > chance, asked="above")
    measured = {"estimate": evaluation.accuracy, "interval": evaluation.interval, "limit": check.threshold}
    return check.model_copy(update={"quantity": "accuracy"} | measured)


def _absolute(
    gate: Gate, evaluation: Evaluation, probabilities: Probabilities, *, labels: Labels, class_names: tuple[str, ...]
) -> Iterator[Check]:
    if gate.min_recall is not None:
        worst = min((c for c in evaluation.per_class if c.support), key=lambda c: c.recall)
        name = name_of(worst.label, class_names)
        yield _at_least(f"recall of class {name}, the worst", worst.recall, gate.min_recall)
    if gate.max_loss is not None:
        yield _at_most("loss", evaluation.loss, gate.max_loss)
    if gate.max_calibration_error is not None:
        yield _at_most("calibration error", calibration_error(probabilities, labels), gate.max_calibration_error)


def _against(gate: Gate, champion: str, counts: PairedCounts) -> Check:
    if gate.against_champion == "superior":
        check = _at_most(f"p-value of being no better than {champion}", superiority(*counts[:2]), gate.significance)
        return _of_difference(check, 0.0, counts, champion, ("more than chance explains", "which may be chance"))
    margin = gate.margin or max(0.005, min(20 / counts.total, 0.5))
    loss = f"{100 * margin:.3g} points"
    name = f"p-value of being worse by {loss} than {champion}"
    check = _at_most(name, non_inferiority(*counts, margin), gate.significance)
    is_lost = counts.gained - counts.lost <= -margin * counts.total
    refusal = f"more than the {loss} that it may lose" if is_lost else f"a loss of {loss} cannot be ruled out"
    outcomes = f"a loss of {loss} can be ruled out", refusal
    return _of_difference(check, -margin, counts, champion, outcomes)


def _worst_class(
    limit: float, champion: str, ours: Evaluation, theirs: Evaluation, *, class_names: tuple[str, ...]
) -> Check:
    """The class whose recall falls most against the champion's; a gain counts as a negative loss.

    Counts are compared, since a difference of two shares is not exact.
    """
    right, were_right = ([row[label] for label, row in enumerate(one.confusion)] for one in (ours, theirs))
    lost = {c.label: Fraction(were_right[c.label] - right[c.label], max(c.support, 1)) for c in ours.per_class}
    label = max(lost, key=lambda label: lost[label])
    name = f"loss of recall of class {name_of(label, class_names)} against {champion}, the greatest,"
    check = _at_most(name, float(lost[label]), limit)
    return check.model_copy(update={"passed": lost[label] <= Fraction(str(limit))})


def _on_new_images(gate: Gate, champion: str, counts: PairedCounts) -> Check:
    """The model passes unless McNemar's test shows that it is worse: a batch is too small to show that it is better.

    The counts are swapped, because the test asks whether the champion is better.
    """
    name = f"p-value of being no worse than {champion} on new images"
    check = _at_least(name, superiority(counts.lost, counts.gained), gate.significance)
    outcomes = "which is not clearly worse", "which is worse than chance explains"
    return _of_difference(check, 0.0, counts, f"{champion} on new images", outcomes)


def _of_difference(check: Check, limit: float, counts: PairedCounts, champion: str, outcomes: tuple[str, str]) -> Check:
    """The check with the difference of the accuracies that it is about; `outcomes` are its words if passed or not."""
    difference = (counts.gained - counts.lost) / counts.total
    side = f"{100 * abs(difference):.2f} points {'above' if difference > 0 else 'below'}" if difference else "equal to"
    p = "p < 0.0001" if check.value < 1e-4 else f"p = {check.value:.2g}"
    return check.model_copy(
        update={
            "name": f"{check.name} ({counts.gained} gained, {counts.lost} lost of {counts.total})",
            "quantity": "difference to the champion",
            "estimate": difference,
            "interval": difference_interval(*counts),
            "limit": limit,
            "clause": f"accuracy is {side} {champion}, {outcomes[not check.passed]} ({p})",
        }
    )


def _operational(gate: Gate, smoke_test: SmokeTest) -> Iterator[Check]:
    if gate.max_weights_bytes is not None:
        yield _at_most("bytes of weights", float(smoke_test.weights_bytes), float(gate.max_weights_bytes))
    if gate.max_latency_ms is not None:
        yield _at_most("latency of one image, ms", smoke_test.latency_ms, gate.max_latency_ms)
    if gate.min_throughput is not None:
        yield _at_least("images per second", smoke_test.throughput, gate.min_throughput)


def _at_least(name: str, value: float, threshold: float) -> Check:
    return Check(name=name, value=value, threshold=threshold, passed=value >= threshold, asked="at least")


def _at_most(name: str, value: float, threshold: float) -> Check:
    return Check(name=name, value=value, threshold=threshold, passed=value <= threshold, asked="at most")
