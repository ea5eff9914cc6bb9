"""Retraining learns from what arrived, once, and says so if nothing did."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.states import State

from artifacts.errors import DigitflowError
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.plan import Plan
from flows.preview import preview
from flows.retraining import Approver, Settled, retraining
from flows.steps import Learned, train_and_score
from flows.training import training
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides
from tasks.model.recipes import choose
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.retraining.collect import Arrivals
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Decision, Note
from tasks.retraining.ledger import withdraw_batch
from tasks.retraining.states import versions_by_batch
from tests.command import ROOT
from tests.conftest import Arrays, write_idx

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("smoke_test_here")]

BRIEF = Overrides(epochs=2)


def test_from_batch_to_champion(
    api: str, home: Path, tmp_path: Path, *, digits: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good batch is trained on as the champion was, and the model held against it on test and new images; one that
    leaks and one whose labels the champion doubts are put aside, and people are told; with neither, or the same again,
    nothing is trained, and what trains is not even imported."""
    train_x, train_y, test_x, test_y = digits
    folder = write_idx(tmp_path / "digits", (train_x[:1000], train_y[:1000], test_x, test_y))
    np.savez(tmp_path / "good.npz", images=train_x[1000:1300], labels=train_y[1000:1300])
    np.savez(tmp_path / "leak.npz", images=test_x[:50], labels=test_y[:50])
    np.savez(tmp_path / "wrong.npz", images=train_x[1300:], labels=(train_y[1300:] + 1) % 10)
    events: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "flows.retraining.announce", lambda event, _, payload: events.append((event, str(payload.get("why"))))
    )

    def retrain(**parameters: object) -> State:
        return retraining(dataset=str(folder), gate=Gate(min_accuracy=0.3), return_state=True, **parameters)

    assert retrain(hyperparameters=BRIEF).name == "Promoted"
    assert retrain().name == "Unchanged"
    assert "version 1 is champion already" in str(retrain(refresh=("evaluate",)).message)
    add_batch(tmp_path / "good.npz", home)
    for name in ("leak", "wrong"):
        add_batch(tmp_path / f"{name}.npz", home)
    ended = retrain()
    learned = ended.result()
    assert len(learned.arrivals.new) == 1 and "same image" in next(iter(learned.arrivals.quarantined.values()))
    ((name, why),) = learned.arrivals.waiting.items()
    assert name.endswith("wrong.npz") and name in str(ended.message) and ("digitflow.batch.waiting", why) in events
    assert learned.arrivals.new[0].labels and learned.arrivals.new[0].labels.champion == 1
    assert "merge" in {task["name"] for task in learned.outcome.tasks}
    assert [c.name.split(" of ")[0] for c in learned.outcome.gate.checks] == ["accuracy", "p-value", "p-value"]
    assert "on new images" in learned.outcome.gate.checks[2].name
    add_batch(tmp_path / "good.npz", home)
    script = f"""
import sys
from flows.retraining import retraining
print(retraining(dataset={str(folder)!r}, gate={{"min_accuracy": 0.3}}, return_state=True).name, end=" ")
print(*sorted({{"keras", "mlflow", "tensorflow"}} & {{*sys.modules}}))
"""
    again = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert again.stdout.split() == ["Unchanged"], again.stderr  # it imported none of these


def test_declined_for_good(api: str, tmp_path: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person declined becomes champion by no other run, whatever its gate."""
    folder = write_idx(tmp_path / "digits", digits)
    monkeypatch.setattr(Approver, "__call__", lambda *_: False)
    for gate, approve in ((Gate(min_accuracy=0.3), True), (Gate(min_accuracy=0.2), False)):
        outcome = retraining(dataset=str(folder), hyperparameters=BRIEF, gate=gate, approve=approve).outcome
        assert outcome.gate.passed and not outcome.promoted
    refused = Registry(Settings.load().home).find(1)
    assert not refused.passed and "declined" in refused.reason


def test_resumed_with_what_was_settled(api: str, home: Path, tmp_path: Path, digits: Arrays) -> None:
    """A run that is resumed after a suspension learns from what it had, though more has arrived and the champion is
    another since."""
    train_x, train_y, test_x, test_y = digits
    folder = write_idx(tmp_path / "digits", (train_x[:1000], train_y[:1000], test_x, test_y))
    asked: list[int] = []

    begin = Approver.__init__

    def one_run(approver: Approver, store: Store, run: str) -> None:
        begin(approver, store, "one")

    def suspended(approver: Approver, version: Version) -> bool:
        asked.append(version.version)
        approver.keep()
        if len(asked) == 1:
            raise KeyboardInterrupt
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Approver, "__call__", suspended)
        patch.setattr(Approver, "__init__", one_run)
        brief = {"dataset": str(folder), "hyperparameters": BRIEF}
        request = brief | {"gate": Gate(min_accuracy=0.3, against_champion="nothing"), "approve": True}
        with pytest.raises(KeyboardInterrupt):
            retraining(**request)
        np.savez(tmp_path / "late.npz", images=train_x[1000:1300], labels=train_y[1000:1300])
        add_batch(tmp_path / "late.npz", home)
        assert training(**brief, seed=5, gate=Gate(min_accuracy=0.3)).promoted
        resumed = retraining(**request)
    assert asked == [1, 1] and resumed.outcome.promoted and not resumed.arrivals.accepted


def test_withdrawn(api: str, store: Store, tmp_path: Path, *, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """The versions that learned from a batch are known; once it is withdrawn, a run that learned from it meanwhile
    registers no model, one that was suspended settles again without it, and later ones learn without it."""
    train_x, train_y, test_x, test_y = digits
    folder = write_idx(tmp_path / "digits", (train_x[:1000], train_y[:1000], test_x, test_y))
    request = {"dataset": str(folder), "hyperparameters": BRIEF, "gate": Gate(min_accuracy=0.3)}
    retraining(**request)
    np.savez(tmp_path / "good.npz", images=train_x[1000:1300], labels=train_y[1000:1300])
    name = add_batch(tmp_path / "good.npz", store.home).name
    (batch,) = retraining(**request).arrivals.accepted
    assert versions_by_batch(store, Registry(store.home)) == {("digits", batch.digest): {2}}

    def withdraw_first(*arguments: Any) -> Learned:
        withdraw_batch("digits", name, Decision(reason="doubts"), store)
        return train_and_score(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("flows.retraining.train_and_score", withdraw_first)
        with pytest.raises(DigitflowError, match=f"withdrawn while the run learned from it: {name}; run again"):
            retraining(**request, seed=5)
    assert [version.version for version in Registry(store.home).versions()] == [2, 1]
    suspended = Approver(store, "one")
    arrivals = Arrivals(accepted=(batch,), new=(), quarantined={}, repeated=())
    settled = {"recipe": "tutorial", "seed": 0, "hyperparameters": choose("tutorial", "digits", BRIEF)}
    suspended.settled = Settled(**settled, arrivals=arrivals)
    suspended.keep()
    begin = Approver.__init__
    monkeypatch.setattr(Approver, "__init__", lambda approver, store, _: begin(approver, store, "one"))
    after = retraining(**request)
    assert after.arrivals.accepted == () and "merge" not in {task["name"] for task in after.outcome.tasks}
    assert after.outcome.version == 1


def test_training_leaves_no_batch_behind(api: str, store: Store, tmp_path: Path, digits: Arrays) -> None:
    """A training without the accepted batches is held against the champion on their held-out part: what the champion
    learned of them is not lost, and the preview knows each step. Once they are withdrawn, only test images count."""
    train_x, train_y, test_x, test_y = digits
    folder = write_idx(tmp_path / "digits", (train_x[:1000], train_y[:1000], test_x, test_y))
    request = {"dataset": str(folder), "hyperparameters": Overrides(epochs=8), "gate": Gate(min_accuracy=0.3)}
    assert training(**request).promoted
    np.savez(tmp_path / "moved.npz", images=np.roll(train_x[1000:], 4, axis=2), labels=train_y[1000:])
    note = Note(dataset="digits", released=Decision(reason="a new camera"))
    name = add_batch(tmp_path / "moved.npz", store.home, note).name
    assert retraining(**request).outcome.promoted
    plan = Plan.of(**request, recipe="tutorial", seed=1, settings=Settings.load())
    before = training(**request, seed=1, return_state=True)
    verdict = before.result().gate
    assert (
        before.name == "Rejected"
        and "below version 2 on new images, which is worse than chance explains" in verdict.reason
    )
    assert verdict.baseline.version == 2 == Registry(store.home).champion_number("digits")
    previewed = preview(plan, Settings.load())
    assert {finding.cache for finding in previewed} == {"hit"}
    assert [finding.name for finding in previewed] == [task["name"] for task in before.result().tasks]
    assert {"select-new-holdout", "evaluate-fresh"} < {finding.name for finding in previewed}
    withdraw_batch("digits", name, Decision(reason="the old camera is back"), store)
    after = training(**request, seed=2)
    assert "on new images" not in after.gate.reason and after.gate.baseline.version == 2
