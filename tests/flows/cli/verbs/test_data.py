"""`digitflow data` lists every batch with its state, adds batches, takes them out again, and lets them in."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Run, StepRecord
from artifacts.storage.store import Store
from flows.cli.verbs.data import announce_batch
from tasks.data.datasets import Split
from tasks.registry.registry import Registry
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Note, read_note
from tasks.retraining.ledger import Batch, content_digest, read_ledger, write_ledger
from tasks.retraining.quarantine import set_aside
from tests.flows.cli.conftest import Called
from tests.tasks.registry.conftest import register

Call = Callable[..., Called]

IMAGES = np.eye(8, dtype=np.uint8) * np.array([[[200]], [[100]]], np.uint8)
LABELS = np.zeros(2, np.uint8)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cli.verbs.data.is_server_configured", lambda: False)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A sound batch that names no data set."""
    np.savez(tmp_path / "new.npz", images=IMAGES, labels=LABELS)
    return tmp_path / "new.npz"


def accept(store: Store, name: str, dataset: str = "digits") -> Batch:
    """Put a batch into the ledger, as a retraining does."""
    split = Split(images=store.put(IMAGES + len(read_ledger(dataset, store))), labels=store.put(LABELS))
    note = Note(dataset=dataset, origin="added", by="ann")
    batch = Batch(name=name, digest=content_digest(split), data=split, added=datetime.now(UTC), drift=(), note=note)
    write_ledger(dataset, [*read_ledger(dataset, store), batch], store)
    return batch


def learn(store: Store, version: int, *batches: Batch, dataset: str = "digits") -> None:
    """Leave the manifest of a run that learned from these batches and registered a version."""
    fields = {"recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
    with Run.recording(store, run=f"20260101-00000{version}-run", dataset=dataset, **fields) as run:
        inputs = {"data": {}, "batches": [batch.data.model_dump(mode="json") for batch in batches]}
        call = StepCall(task="merge", inputs=inputs, code={}, libraries={})
        run.manifest.steps.append(StepRecord(name="merge", cached=False, seconds=0, key="0", call=call, result={}))
        run.finish("passed", registry="local", version=version)


def doubt(store: Store, path: Path) -> str:
    """Add a batch, and set it aside because the champion doubts its labels."""
    placed = add_batch(path, store.home, Note(dataset="digits", origin="added", by="ann"))
    set_aside(placed, "approval", {"reason": "labels are in doubt", "dataset": "digits", "images": 2}, store)
    return placed.name


def listed(call: Call) -> dict[str, str]:
    """The state of each batch in plain words."""
    rows: list[dict[str, str]] = json.loads(call("data", "--json").stdout)
    return {row["batch"]: row["detail"] for row in rows}


def test_states(store: Store, new: Path, tmp_path: Path, call: Call) -> None:
    """Every batch is listed with its data set, source, images and state in plain words: those that wait, corrections,
    accepted ones with the versions that learned from them, and those set aside."""
    added = json.loads(call("data", "add", new, "--dataset", "digits", "--json").stdout)
    feedback.keep(IMAGES[0], 1, "digits", store.home)
    one, two = accept(store, "one.npz"), accept(store, "two.npz")
    learn(store, 7, one)
    learn(store, 9, one)
    accept(store, "three.npz")
    learn(store, 4, two, dataset="letters")
    doubted = doubt(store, new)
    (tmp_path / "bad.npz").touch()
    set_aside(tmp_path / "bad.npz", "quarantine", {"reason": "it is empty"}, store)
    rows = json.loads(call("data", "--json").stdout)
    see = {row["batch"]: f"; see {row['report']}" for row in rows}
    assert {"batch": added["batch"], "dataset": "digits", "told": False, "remarks": []} == added
    assert [(r["batch"], r["dataset"], r["state"], r["images"], r["versions"], r["detail"]) for r in rows] == [
        (added["batch"], "digits", "waiting", 2, [], "in the inbox"),
        ("digits-8x8", "digits", "collecting", 1, [], "corrections that wait for the next retraining"),
        ("one.npz", "digits", "accepted", 2, [7, 9], "learned by versions 7, 9"),
        ("two.npz", "digits", "accepted", 2, [], "accepted, in no model yet"),
        ("three.npz", "digits", "accepted", 2, [], "accepted, in no model yet"),
        (doubted, "digits", "approval", 2, [], "waits for approval: labels are in doubt" + see[doubted]),
        ("bad.npz", "", "quarantine", None, [], "in quarantine: it is empty" + see["bad.npz"]),
    ]
    assert [row["by"] for row in rows[1:4]] == ["corrections", "ann", "ann"] and rows[0]["by"]
    table = call("data").stdout.splitlines()
    assert table[0].split()[:3] == ["BATCH", "DATA", "SET"] and len(table) == 1 + len(rows)


def test_the_same_files_again(store: Store, new: Path, tmp_path: Path, call: Call) -> None:
    """A batch whose files arrived before, wherever those are now, says so when it is added; other files do not."""
    assert json.loads(call("data", "add", new, "--json").stdout)["remarks"] == []
    set_aside(store.home / "inbox" / (first := next(iter(listed(call)))), "quarantine", {"reason": "no"}, store)
    again = json.loads(call("data", "add", new, "--json").stdout)["remarks"]
    assert again == [f"the same files arrived before, as {first}; see: digitflow data"]
    np.savez(tmp_path / "other.npz", images=IMAGES + 1, labels=LABELS)
    assert json.loads(call("data", "add", tmp_path / "other.npz", "--json").stdout)["remarks"] == []


def test_a_batch_that_is_a_link_to_nowhere(store: Store, new: Path, call: Call) -> None:
    """It is listed, and the other batches are too."""
    added = json.loads(call("data", "add", new, "--json").stdout)["batch"]
    (store.home / "inbox" / "gone.npz").symlink_to("/nowhere")
    assert listed(call) == {added: "in the inbox", "gone.npz": "in the inbox"}


def test_accepted_batches_say_when_they_came(store: Store, call: Call) -> None:
    """An accepted batch keeps the time at which it was added, and tells how many of its images are not used."""
    batch, at = accept(store, "one.npz"), datetime(2026, 1, 2, tzinfo=UTC)
    changes = {"note": batch.note.model_copy(update={"at": at}), "left_out": 9}
    write_ledger("digits", [batch.model_copy(update=changes)], store)
    (row,) = json.loads(call("data", "--json").stdout)
    assert (row["added"], row["images"], row["left_out"]) == ("2026-01-02T00:00:00Z", 2, 9)
    assert row["detail"] == "accepted, in no model yet; 9 more images are not used"


def test_nothing_yet(home: Path, call: Call) -> None:
    """Without a batch the list is empty, and listing creates no folder."""
    assert json.loads(call("data", "--json").stdout) == [] and not home.exists()


def test_withdrawn(store: Store, call: Call) -> None:
    """A batch that is withdrawn stays in the ledger, with when, why and by whom; the versions that learned from it are
    named and marked, and no others."""
    one, two = accept(store, "one.npz"), accept(store, "two.npz")
    registry = Registry(store.home)
    for seed in (1, 2, 3):
        register(store, seed)
    registry.promote(registry.find(2), "best", None)
    learn(store, 1, two)
    learn(store, 2, one, two)
    learn(store, 3, one)
    done = call("data", "withdraw", "one.npz", "--reason", "labels off by one")
    assert done.status == 0 and "version 2 (the champion), version 3" in done.stdout
    assert "digitflow models rollback" in done.stdout
    records = {batch.name: batch.withdrawn for batch in read_ledger("digits", store)}
    assert records["two.npz"] is None and (decision := records["one.npz"])
    assert decision.reason == "labels off by one" and decision.by and decision.at <= datetime.now(UTC)
    marks = {v["version"]: v["withdrawn"] for v in json.loads(call("models", "--json").stdout)}
    assert marks == {1: {}, 2: {"one.npz": "labels off by one"}, 3: {"one.npz": "labels off by one"}}
    assert [line for line in call("models").stdout.splitlines() if "withdrawn data" in line] != []
    assert "one.npz: labels off by one" in call("models", "show", "2").stdout
    assert listed(call)["one.npz"] == "withdrawn: labels off by one; learned by versions 2, 3"


def test_withdrawn_from_the_inbox(store: Store, new: Path, call: Call) -> None:
    """A batch that still waits, also one that a person released, can be taken out: it goes into quarantine."""
    added = json.loads(call("data", "add", str(new), "--json").stdout)["batch"]
    done = call("data", "withdraw", added, "--reason", "added by mistake")
    assert done.status == 0 and "no model" in done.stdout
    assert listed(call)[added].startswith("in quarantine: withdrawn: added by mistake")
    assert call("data", "release", added, "--reason", "no mistake").status == 0


def test_what_cannot_be_withdrawn(store: Store, new: Path, call: Call) -> None:
    """Unknown names, empty reasons, and batches that no model learns from are refused in one line, exit status 2."""
    accept(store, "20260101-forms.npz")
    doubted = doubt(store, new)
    for name, reason, words in (
        ("20260101-form.npz", "why", "did you mean 20260101-forms.npz?"),
        ("forms", "why", "did you mean 20260101-forms.npz?"),
        ("x", "why", "there is no batch 'x'; see: digitflow data"),
        ("20260101-forms.npz", " ", "the reason is empty"),
        (doubted, "why", "waits for approval: labels are in doubt"),
    ):
        done = call("data", "withdraw", name, "--reason", reason)
        assert done.status == 2 and words in done.stderr and done.stderr.count("\n") == 1, done
    assert call("data", "withdraw", "20260101-forms.npz", "--reason", "first").status == 0
    again = call("data", "withdraw", "20260101-forms.npz", "--reason", "second")
    assert again.status == 2 and "was withdrawn already: first" in again.stderr


def test_released(store: Store, new: Path, call: Call) -> None:
    """A batch that waits goes back to the inbox, with a note of who let it in and why; nothing of it stays behind."""
    doubted = doubt(store, new)
    done = call("data", "release", doubted, "--reason", "a new pen", "--json")
    assert done.status == 0 and json.loads(done.stdout)["dataset"] == "digits"
    assert listed(call) == {doubted: "in the inbox, released: a new pen"}
    note = read_note(doubted, store.home)
    assert note.released and (note.released.reason, note.dataset) == ("a new pen", "digits")
    assert list((store.home / "approval").iterdir()) == []


def test_what_cannot_be_released(store: Store, new: Path, tmp_path: Path, call: Call) -> None:
    """A batch whose form is wrong, one whose report is damaged, and one that is not set aside stay where they are."""
    accept(store, "good.npz")
    for name in ("leak.npz", "lost.npz"):
        (tmp_path / name).touch()
        report = {"reason": "the test split has the same image", "errors": [{"message": "leak"}]}
        set_aside(tmp_path / name, "quarantine", report, store)
    (store.home / "quarantine" / "lost.npz" / "report.json").write_text("{")
    before = listed(call)
    for name, words in (
        ("leak.npz", "cannot be learned from, whoever asks: the test split has the same image"),
        ("lost.npz", "report.json is damaged"),
        ("good.npz", "neither waits for approval nor is in quarantine; its state: accepted, in no model yet"),
        ("leek.npz", "did you mean leak.npz or lost.npz?"),
    ):
        done = call("data", "release", name, "--reason", "why not")
        assert done.status == 2 and words in done.stderr and done.stderr.count("\n") == 1, done
    assert listed(call) == before


@pytest.mark.parametrize(("dataset", "kind"), [("mnist-sample", "named"), ("digits", "unnamed"), ("", "unnamed")])
def test_events_name_the_data_set(
    dataset: str, kind: str, *, store: Store, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of a new batch has its data set, and says whether a deployment can retrain it by its name."""
    events: list[tuple[object, ...]] = []
    monkeypatch.setattr("prefect.events.emit_event", lambda *event, payload: events.append((*event, payload)))
    monkeypatch.setattr("flows.cli.verbs.data.flush_events", lambda: None)
    name = add_batch(new, store.home, Note(dataset=dataset)).name
    announce_batch(name)
    resource = {"prefect.resource.id": "digitflow.inbox", "digitflow.dataset": kind}
    assert events == [("digitflow.batch.added", resource, {"batch": name, "dataset": dataset})]


def test_whose_batch(store: Store, new: Path, tmp_path: Path, call: Call) -> None:
    """A batch goes to the only data set with models; with several it is asked for, and an unknown one is refused."""
    first = call("data", "add", new)
    assert first.status == 0 and "no model is here yet" in first.stdout
    register(store, 1)
    only = call("data", "add", new)
    assert "digits, the only data set with models here" in only.stdout
    assert "run retraining/on-demand --param dataset=PATH --param dataset_name=digits" in only.stdout
    assert [row["dataset"] for row in json.loads(call("data", "--json").stdout)] == ["", "digits"]
    register(store, 2, dataset="letters")
    which = call("data", "add", new)
    assert which.status == 2 and "digits, letters; say which with --dataset" in which.stderr
    unknown = call("data", "add", new, "--dataset", "digit")
    assert unknown.status == 2 and "did you mean digits?" in unknown.stderr
    asked = call("data", "add", new, "--dataset", "letters")
    assert asked.status == 0 and "letters, as asked" in asked.stdout
    np.savez(tmp_path / "named.npz", images=IMAGES, labels=LABELS, dataset="letters")
    assert "letters, as its file says" in call("data", "add", tmp_path / "named.npz").stdout
    two = call("data", "add", tmp_path / "named.npz", "--dataset", "digits")
    assert two.status == 2 and "is for letters, as its array `dataset` says" in two.stderr
    assert len(listed(call)) == 4


def test_bad_batches_are_not_added(call: Call, tmp_path: Path, home: Path) -> None:
    """A batch that could not be learned from is refused with exit status 2 and its reason, and is not in the inbox."""
    np.savez(tmp_path / "bad.npz", images=np.eye(8)[np.newaxis], labels=np.array([0.5]))
    done = call("data", "add", tmp_path / "bad.npz")
    assert done.status == 2 and "bad.npz: labels holds 0.5 at position 0" in done.stderr
    assert not (home / "inbox").exists()
