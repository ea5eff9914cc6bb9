"""A batch is learned from once or not at all, and is never lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.storage.home import KEPT_BATCHES
from artifacts.storage.store import Ref, Store
from tasks.data.datasets import Splits
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.retraining.collect import Arrivals, collect
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Decision, Note, write_note
from tasks.retraining.ledger import accepted_batches, read_ledger, withdraw_batch
from tasks.retraining.quarantine import batches_aside, release_batch
from tasks.retraining.states import find_batch, list_batches
from tests.command import ROOT
from tests.pictures import seven
from tests.tasks.retraining.conftest import LIMIT, Batch, judge, npz
from tests.tasks.retraining.incoming.test_batch_formats import pictures


def test_all_ways_in(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """The step takes what is in the inbox, what is new below the URL, and what people corrected."""
    images, labels = new_digits
    add_batch(npz(tmp_path / "added.npz", images[:100], labels[:100]), store.home)
    npz(tmp_path / "remote" / "fetched.npz", images[100:200], labels[100:200])
    feedback.keep(images[200], int(labels[200]), "digits", store.home)
    url = f"file://{tmp_path}/remote"
    arrivals = collect.fn("digits", base, 10, champion=None, on_drift="accept", store=store, inbox=url, max_bytes=LIMIT)
    assert sorted(batch.data.labels.shape[0] for batch in arrivals.new) == [1, 100, 100]


def test_once(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """An accepted batch leaves the inbox and stays accepted; the same images again change nothing."""
    path = npz(tmp_path / "good.npz", *new_digits)
    add_batch(path, store.home)
    first = judge(store, base)
    add_batch(path, store.home)
    second = judge(store, base)
    assert [len(first.new), len(second.new), len(second.accepted), len(second.repeated)] == [1, 0, 1, 1]
    assert list((store.home / "inbox").iterdir()) == [] and len(list(accepted_batches(store))) == 1


def test_again_under_another_name(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A batch whose images and labels are known is told with the batch that has them, and found by either name."""
    first = add_batch(npz(tmp_path / "first.npz", *new_digits), store.home)
    judge(store, base)
    again = add_batch(npz(tmp_path / "again.npz", *new_digits), store.home)
    judge(store, base)
    (state,) = list_batches(store, Registry(store.home))
    assert (state.batch, state.repeats) == (first.name, (again.name,)) and again.name in state.words
    assert find_batch(again.name, [state]) == state


@pytest.mark.parametrize("is_kept", [True, False])
def test_withdrawn_and_pruned(store: Store, base: Splits, tmp_path: Path, new_digits: Batch, *, is_kept: bool) -> None:
    """After a batch was withdrawn and the store has lost its arrays, another is judged. If its files are kept, the same
    images in another order are known."""
    images, labels = new_digits
    first = add_batch(npz(tmp_path / "first.npz", images[:100], labels[:100]), store.home)
    (accepted,) = judge(store, base).accepted
    withdraw_batch("digits", first.name, Decision(reason="wrong"), store)
    for ref in (accepted.data.images, accepted.data.labels):
        store.path(ref).unlink()
    if not is_kept:
        (store.home / KEPT_BATCHES / first.name).unlink()
    add_batch(npz(tmp_path / "again.npz", images[99::-1], labels[99::-1]), store.home)
    add_batch(npz(tmp_path / "other.npz", images[100:200], labels[100:200]), store.home)
    arrivals = judge(store, base)
    assert any(name.endswith("again.npz") for name in arrivals.quarantined) == is_kept
    assert any(batch.name.endswith("other.npz") for batch in arrivals.new)


def test_bad_batches_go_to_quarantine(
    store: Store, base: Splits, tmp_path: Path, *, new_digits: Batch, digits: tuple[np.ndarray, ...]
) -> None:
    """Nothing but test images, unknown labels, and what cannot be read or fitted go to quarantine; nothing is lost."""
    images, labels = new_digits
    bad = {
        "leak": (digits[2][:9], digits[3][:9]),
        "label": (images, np.full_like(labels, 11)),
        "blank": (np.zeros((9, 9, 9), np.uint8) + np.arange(9, dtype=np.uint8), labels[:9]),
        "type": (images.astype(np.float32) - 99, labels),
    }
    for name, arrays in bad.items():
        add_batch(npz(tmp_path / f"{name}.npz", *arrays), store.home)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    add_batch(tmp_path / "torn.npz", store.home)
    arrivals = judge(store, base)
    assert arrivals.accepted == () and len(arrivals.quarantined) == 5
    for name in arrivals.quarantined:
        assert {path.name for path in (store.home / "quarantine" / name).iterdir()} == {name, "report.json"}


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


def test_scans_are_learned_from(store: Store, base: Splits, tmp_path: Path) -> None:
    """A batch of scans is fitted to the data set; its arrays are kept, and restored if the store loses them."""
    scans = np.stack([255 - np.pad(seven(200), ((40, 40), (60 + i, 60 - i))) for i in range(5)])
    add_batch(pictures(tmp_path / "scans", scans, np.full(5, 7)), store.home)
    (batch,) = judge(store, base).accepted
    assert batch.data.images.shape[1:] == (8, 8)
    before = np.array(store.get(batch.data.images))
    for ref in (batch.data.images, batch.data.labels):
        store.path(ref).unlink()
    assert judge(store, base).accepted == (batch,)
    np.testing.assert_array_equal(store.get(batch.data.images), before)


def test_drift_can_be_refused(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A batch that drifted goes to quarantine if drift is refused."""
    add_batch(npz(tmp_path / "thin.npz", new_digits[0] // 3, new_digits[1]), store.home)
    arrivals = judge(store, base, "refuse")
    assert arrivals.accepted == () and "drifted" in next(iter(arrivals.quarantined.values()))


def test_killed_before_the_batch_left(
    store: Store, base: Splits, tmp_path: Path, *, new_digits: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the ledger and the move, the batch is accepted once."""
    add_batch(npz(tmp_path / "good.npz", *new_digits), store.home)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.retraining.collect.move_batch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            judge(store, base)
    assert len(judge(store, base).accepted) == 1 and list((store.home / "inbox").iterdir()) == []


@pytest.mark.parametrize("by_note", [False, True])
def test_meant_for_another(by_note: bool, store: Store, base: Splits, new_digits: Batch) -> None:
    """A batch whose file or note names another data set stays in the inbox, for that one's retraining."""
    npz(store.home / "inbox" / "batch.npz", *new_digits, **({} if by_note else {"dataset": "letters"}))
    if by_note:
        write_note("batch.npz", Note(dataset="letters"), store.home)
    assert judge(store, base) == Arrivals(accepted=(), new=(), quarantined={}, repeated=())
    assert len(judge(store, base, dataset="letters").new) == 1


@pytest.mark.parametrize("harm", ["empty", "array", "flipped", "huge picture"])
def test_damaged_files(harm: str, store: Store, base: Splits, new_digits: Batch) -> None:
    """Whatever is wrong with a file, it goes to quarantine, and does not stop the others."""
    inbox = store.home / "inbox"
    inbox.mkdir(parents=True)
    bad = inbox / "bad.npz"
    if harm == "empty":
        bad.touch()
    elif harm == "array":
        np.save(bad.open("wb"), new_digits[0])
    elif harm == "flipped":
        np.savez_compressed(bad, images=new_digits[0], labels=new_digits[1])
        content = bytearray(bad.read_bytes())
        for place in range(100, len(content) - 400, 50):
            content[place] ^= 0xFF
        bad.write_bytes(content)
    else:
        bad = inbox / "bad"
        bad.mkdir()
        (bad / "labels.csv").write_text("file,label\na.png,1\n")
        Image.new("1", (14_000, 14_000)).save(bad / "a.png")
    npz(inbox / "good.npz", *new_digits)
    arrivals = judge(store, base)
    assert list(arrivals.quarantined) == [bad.name] and [batch.name for batch in arrivals.new] == ["good.npz"]


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


def test_an_empty_inbox_loads_no_network(tmp_path: Path) -> None:
    """Judging an empty inbox imports neither Keras nor TensorFlow, although there is a champion."""
    script = """
import sys
from pathlib import Path
import numpy as np
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.registry.versions import Version
from tasks.retraining.collect import collect
from tests.tasks.registry.conftest import candidate
store = Store(Path(sys.argv[1]))
images, labels = np.zeros((3, 8, 8), np.uint8), np.zeros(3, np.uint8)
base = Splits.of(*map(store.put, (images, labels, images, labels)))
weights = store.put_bytes(b"never read", "weights.h5")
place = {"version": 1, "aliases": ("champion",), "created": 0, "mlflow_run": ""}
champion = Version.model_validate(candidate(weights).model_dump() | place)
options = {"champion": champion, "on_drift": "accept", "store": store, "inbox": "", "max_bytes": 10**7}
arrivals = collect.fn("digits", base, 10, **options)
assert not arrivals.accepted and not {"keras", "tensorflow"} & {*sys.modules}
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "home")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


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
