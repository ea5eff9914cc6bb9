"""A batch is accepted, known already, or set aside with every reason, and a person has the last word."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.home import KEPT_BATCHES
from artifacts.storage.store import Ref, Store
from tasks.data.datasets import Splits
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Decision, Note, write_note
from tasks.retraining.ledger import accepted_batches, read_ledger, withdraw_batch
from tasks.retraining.quarantine import batches_aside, release_batch
from tasks.retraining.states import list_batches
from tests.tasks.retraining.conftest import Batch, judge, npz


def test_test_images_in_a_batch_are_left_out(
    store: Store, base: Splits, tmp_path: Path, *, new_digits: Batch, digits: tuple[np.ndarray, ...]
) -> None:
    """Of a batch with some test images in it the rest is used, and how many were left out is kept."""
    images, labels = (np.concatenate([own[:100], test[:9]]) for own, test in zip(new_digits, digits[2:], strict=True))
    add_batch(npz(tmp_path / "leaky.npz", images, labels), store.home)
    (batch,) = judge(store, base).accepted
    np.testing.assert_array_equal(store.get(batch.data.images), new_digits[0][:100])
    assert batch.left_out == 9


def test_negatives_are_inverted(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A batch that is dark on light is inverted if the data set is light on dark."""
    framed = Splits.of(*(store.put(_framed(store.get(ref))) for ref in _refs(base)))
    add_batch(npz(tmp_path / "negative.npz", 255 - _framed(new_digits[0]), new_digits[1]), store.home)
    (batch,) = judge(store, framed).accepted
    np.testing.assert_array_equal(store.get(batch.data.images), _framed(new_digits[0]))


def _refs(splits: Splits) -> list[Ref]:
    return [splits.train.images, splits.train.labels, splits.test.images, splits.test.labels]


def _framed(array: np.ndarray) -> np.ndarray:
    return np.pad(array, ((0, 0), (2, 2), (2, 2))) if array.ndim == 3 else np.array(array)


def test_drift_can_be_refused(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A batch that drifted goes to quarantine if drift is refused."""
    add_batch(npz(tmp_path / "thin.npz", new_digits[0] // 3, new_digits[1]), store.home)
    arrivals = judge(store, base, "refuse")
    assert arrivals.accepted == () and "drifted" in next(iter(arrivals.quarantined.values()))


def off_by_one(labels: np.ndarray) -> np.ndarray:
    return (labels + 1) % 10


def test_doubted_labels_wait_for_a_person(
    store: Store, base: Splits, tmp_path: Path, *, champion: Version, new_digits: Batch
) -> None:
    """A batch whose labels are off by one waits, with its report and a picture; the other batches of the run go on."""
    images, labels = new_digits
    add_batch(npz(tmp_path / "wrong.npz", images[:150], off_by_one(labels[:150])), store.home)
    add_batch(npz(tmp_path / "right.npz", images[150:], labels[150:]), store.home)
    arrivals = judge(store, base, champion=champion)
    assert [batch.data.labels.shape[0] for batch in arrivals.new] == [150] and not arrivals.quarantined
    ((name, reason),) = arrivals.waiting.items()
    assert name.endswith("wrong.npz") and "the champion, version 3, reads" in reason
    (aside,) = batches_aside(store)
    assert (aside.name, aside.place, aside.reason, aside.report["images"]) == (name, "approval", reason, 150)
    assert aside.report["labels"]["disagreements"] > 130 and aside.report["labels"]["examples"]
    assert {path.name for path in aside.path.parent.iterdir()} == {name, "report.json", "examples.png"}
    assert [batch.name for batch in accepted_batches(store)] == [batch.name for batch in arrivals.new]
    assert judge(store, base, champion=champion).new == ()


def test_the_record_says_who_judged(
    store: Store, base: Splits, tmp_path: Path, *, champion: Version, new_digits: Batch
) -> None:
    """The record of an accepted batch has the champion's numbers, or why nobody judged its labels."""
    images, labels = new_digits
    records = []
    for i, judged_by in enumerate((champion, None, champion.model_copy(update={"classes": 12}))):
        part = slice(100 * i, 100 * (i + 1))
        add_batch(npz(tmp_path / f"{i}.npz", images[part], labels[part]), store.home)
        (batch,) = judge(store, base, champion=judged_by).new
        records.append(batch)
    assert records[0].labels and records[0].labels.champion == 3 and records[0].unjudged == ""
    assert records[1].labels is None and records[1].unjudged == "there was no champion"
    assert records[2].labels is None and "other classes" in records[2].unjudged
    assert list(accepted_batches(store)) == records
    states = list_batches(store, Registry(store.home))
    assert [state.judged_by for state in states] == [3, None, None]
    assert [state.unjudged for state in states] == [record.unjudged for record in records]


def test_corrections_are_not_judged_by_whom_they_correct(
    store: Store, base: Splits, champion: Version, new_digits: Batch
) -> None:
    """The champion disagrees with each correction, because people correct what it reads wrongly: they are accepted."""
    for image, label in zip(new_digits[0][:30], off_by_one(new_digits[1][:30]), strict=True):
        feedback.keep(image, int(label), "digits", store.home)
    feedback.hand_in(store.home)
    (batch,) = judge(store, base, champion=champion).new
    assert batch.labels is None and "people corrected" in batch.unjudged and batch.note.origin == "corrections"


def test_the_same_doubted_images_wait_once(
    store: Store, base: Splits, tmp_path: Path, *, champion: Version, new_digits: Batch
) -> None:
    """Images that wait for a person and arrive again are known, in the same run or in a later one."""
    path = npz(tmp_path / "wrong.npz", new_digits[0], off_by_one(new_digits[1]))
    add_batch(path, store.home)
    add_batch(path, store.home)
    first = judge(store, base, champion=champion)
    add_batch(path, store.home)
    second = judge(store, base, champion=champion)
    assert [(len(a.waiting), len(a.repeated), len(a.accepted)) for a in (first, second)] == [(1, 1, 0), (0, 1, 0)]


def test_released_once_looked_at(
    store: Store, base: Splits, tmp_path: Path, *, champion: Version, new_digits: Batch
) -> None:
    """What waited or drifted is accepted once a person let it in, and the record has both the doubts and the reason."""
    add_batch(npz(tmp_path / "wrong.npz", new_digits[0], off_by_one(new_digits[1])), store.home)
    add_batch(npz(tmp_path / "thin.npz", new_digits[0] // 3, new_digits[1]), store.home)
    assert not judge(store, base, "refuse", champion=champion).new
    for aside in list(batches_aside(store)):
        release_batch(aside, Decision(reason="I looked"), store)
    arrivals = judge(store, base, "refuse", champion=champion)
    assert not arrivals.waiting and not arrivals.quarantined and not list(batches_aside(store))
    doubted = next(batch for batch in arrivals.new if batch.name.endswith("wrong.npz"))
    assert len(arrivals.new) == 2 and doubted.labels and doubted.labels.is_suspicious
    assert all(batch.note.released and batch.note.released.reason == "I looked" for batch in arrivals.new)


def test_no_release_lets_test_images_in(
    store: Store, base: Splits, digits: tuple[np.ndarray, ...], champion: Version
) -> None:
    """A note that a batch was released does not help one that leaks: its form is judged again."""
    npz(store.home / "inbox" / "leak.npz", digits[2], digits[3])
    write_note("leak.npz", Note(released=Decision(reason="let it in")), store.home)
    assert list(judge(store, base, champion=champion).quarantined) == ["leak.npz"]


def test_withdrawn_images_do_not_come_back(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A withdrawn batch is no longer learned from; its images go to quarantine if they arrive again, and in if a person
    lets them in. The record of the withdrawal stays."""
    path = npz(tmp_path / "good.npz", *new_digits)
    name = add_batch(path, store.home).name
    judge(store, base)
    withdraw_batch("digits", name, Decision(reason="wrong pen"), store)
    assert judge(store, base).accepted == () and not list(accepted_batches(store))
    add_batch(path, store.home)
    ((_, reason),) = judge(store, base).quarantined.items()
    assert "the same images were withdrawn on" in reason and reason.endswith(": wrong pen")
    (aside,) = batches_aside(store)
    release_batch(aside, Decision(reason="right after all"), store)
    (again,) = judge(store, base).accepted
    assert [batch.withdrawn is None for batch in read_ledger("digits", store)] == [False, True]
    assert again.name == aside.name


def test_a_release_ends_with_a_withdrawal(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A batch that a person let in, and that was withdrawn since, does not get in by that release again."""
    add_batch(npz(tmp_path / "thin.npz", new_digits[0] // 3, new_digits[1]), store.home)
    judge(store, base, "refuse")
    (aside,) = batches_aside(store)
    release_batch(aside, Decision(reason="a thin pen"), store)
    (accepted,) = judge(store, base, "refuse").accepted
    withdraw_batch("digits", accepted.name, Decision(reason="labels off by one"), store)
    shutil.copy(store.home / KEPT_BATCHES / accepted.name, store.home / "inbox" / accepted.name)
    arrivals = judge(store, base)
    assert not arrivals.accepted and "the same images were withdrawn on" in arrivals.quarantined[accepted.name]


@pytest.mark.parametrize("is_withdrawn", [False, True])
def test_known_images_in_another_order(
    is_withdrawn: bool, store: Store, base: Splits, tmp_path: Path, new_digits: Batch
) -> None:
    """A batch that is mostly images of another one, in any order, is set aside, and the other one is named."""
    name = add_batch(npz(tmp_path / "first.npz", *new_digits), store.home).name
    judge(store, base)
    if is_withdrawn:
        withdraw_batch("digits", name, Decision(reason="wrong pen"), store)
    add_batch(npz(tmp_path / "again.npz", new_digits[0][:0:-1], new_digits[1][:0:-1]), store.home)
    ((_, reason),) = judge(store, base).quarantined.items()
    assert f"299 of its 299 images are those of {name}" in reason
    assert ("wrong pen" if is_withdrawn else "accepted before") in reason


def test_what_is_known_is_not_judged_again(
    store: Store, base: Splits, tmp_path: Path, *, champion: Version, new_digits: Batch
) -> None:
    """Images that were accepted, while there was no champion, are known when they arrive again, whatever a later
    champion or a stricter rule of drift says of them."""
    path = npz(tmp_path / "wrong.npz", new_digits[0] // 3, off_by_one(new_digits[1]))
    add_batch(path, store.home)
    assert len(judge(store, base).new) == 1
    add_batch(path, store.home)
    again = judge(store, base, "refuse", champion=champion)
    assert len(again.repeated) == 1 and not again.waiting and not again.quarantined


def test_all_reasons_are_told_at_once(
    store: Store, base: Splits, tmp_path: Path, *, champion: Version, new_digits: Batch
) -> None:
    """A batch that was withdrawn, drifted and has doubted labels is set aside for all of it: one look lets it in."""
    path = npz(tmp_path / "wrong.npz", new_digits[0] // 3, off_by_one(new_digits[1]))
    name = add_batch(path, store.home).name
    judge(store, base)
    withdraw_batch("digits", name, Decision(reason="dark"), store)
    add_batch(path, store.home)
    ((_, reason),) = judge(store, base, "refuse", champion=champion).quarantined.items()
    assert all(
        words in reason for words in (": dark; it drifted from the data set in mean", "; the champion, version 3")
    )
    (aside,) = batches_aside(store)
    assert (aside.path.parent / "examples.png").exists()
    release_batch(aside, Decision(reason="seen"), store)
    assert len(judge(store, base, "refuse", champion=champion).new) == 1
