"""The faults: each damages a project in which a run ended, or kills a run, and judges what the next run serves."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.peers.project import PATIENCE, Finished, Project

EPOCHS = 10
KILLED_AFTER = 3
"""Epochs after which a training is killed."""


class Sound(NamedTuple):
    """The training images that a first run kept: their digest, and the bytes of their file."""

    digest: str
    size: int


def is_done(run: Finished) -> bool:
    """Whether a run ended well. 3 is digitflow's: trained, and rejected by the gate."""
    return run.status in (0, 3)


def describe_edit(run: Finished) -> str:
    """What a run served after code or a library changed that decides the images or the labels."""
    if not is_done(run):
        return "error"
    return "computed again" if run.count("train") and _prepares(run) else "stale"


def describe_comment(run: Finished) -> str:
    """What a run computed after only a comment changed."""
    if not is_done(run):
        return "error"
    if run.count("train"):
        return "trains again"
    steps = len({event["event"] for event in run.events})
    return f"{steps} step{'s' * (steps > 1)} again" if steps else "nothing"


def describe_training(run: Finished, sound: str) -> str:
    """On what a run trained, given the digest of the sound images."""
    digests = {event["images"] for event in run.events if event["event"] == "train"}
    if digests - {sound}:
        return "trains on it"
    if not is_done(run):
        return "refuses" if not digests else "error"
    return "computed again" if _prepares(run) else "sound copy" if digests else "not read"


def describe_rewritten(run: Finished, sound: str) -> str:
    """What a run made of the images whose write was killed, given the digest of the sound ones."""
    words = {"trains on it": "trains on half a file", "refuses": "fails on half a file"}
    served = describe_training(run, sound)
    return words.get(served, served)


def describe_resumed(run: Finished, epochs_before: int) -> str:
    """Where a training went on after a kill."""
    if not is_done(run):
        return "error"
    steps = _prepares(run)
    again = f"; {steps} step{'s' * (steps > 1)} before it again" if steps else ""
    return f"epoch {epochs_before + 1}{again}"


def describe_two(runs: list[Finished]) -> str:
    """How often two runs at once train in all, and whether one fails."""
    times, failed = sum(run.count("train") for run in runs), sum(not is_done(run) for run in runs)
    trained = ("never", "once", "twice")[times] if times < 3 else f"{times} times"
    return trained + ("", "; one fails", "; both fail")[failed]


def _prepares(run: Finished) -> int:
    return sum(run.count(event) > 0 for event in ("download", "validate", "normalise", "one_hot"))


def edit_deep(project: Project, _: Sound) -> str:
    """A function that a function of a function of the step calls now centres elsewhere."""
    _replace(_deep_file(project), "float32(0.5)", "float32(0.25)")
    return describe_edit(project.run(project.peer.rerun))


def edit_comment(project: Project, _: Sound) -> str:
    """A comment in the step, and one in the function three calls deep."""
    _replace(project.place / project.peer.step_file, "# the images as the network takes them", "# what it takes")
    _replace(_deep_file(project), "# the tutorial's range", "# the range of the tutorial")
    return describe_comment(project.run(project.peer.rerun))


def _deep_file(project: Project) -> Path:
    return project.place / ("work/centre.py" if project.peer.environment else "code/tasks/data/centre.py")


def upgrade_library(project: Project, _: Sound) -> str:
    """helperlib 1.0 becomes 2.0, whose result differs, and requirements.txt says so."""
    project.install_helperlib("2.0")
    return describe_edit(project.run(project.peer.rerun))


def flip_bit(project: Project, sound: Sound, keep_times: bool = False) -> str:
    """One bit in the middle of the kept training images; then a training with another seed reads them.

    A peer that remembers files by inode and times has to see them once, since they were put back.
    """
    project.run(project.peer.rerun)
    file = project.pixels()
    before = file.stat()
    file.chmod(before.st_mode | 0o200)
    with file.open("r+b") as opened:
        opened.seek(before.st_size // 2)
        byte = opened.read(1)[0]
        opened.seek(before.st_size // 2)
        opened.write(bytes([byte ^ 2]))  # most letters of base64, such as a peer writes, then stay base64
    file.chmod(before.st_mode)
    if keep_times:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    if project.peer.retrain_setting:
        name, old, new = project.peer.retrain_setting
        _replace(project.place / name, old, new)
    return describe_training(project.run(project.peer.retrain), sound.digest)


def flip_bit_secretly(project: Project, sound: Sound) -> str:
    """The same by a disk: the times of the file stay."""
    return flip_bit(project, sound, keep_times=True)


def kill_in_training(project: Project, _: Sound) -> str:
    """kill -9 of every process after some epochs; then the run that goes on."""
    project.make()
    if project.peer.environment:
        killed = project.run_and_kill(
            project.peer.run,
            lambda: any(e["event"] == "pause" for e in project.events()),
            PEERS_PAUSE_AFTER=str(KILLED_AFTER),
        )
        if killed.count("pause") != 1:
            return "not killed"
        return _go_on(project, project.run(project.peer.rerun))
    return _kill_ours(project)


def _go_on(project: Project, run: Finished) -> str:
    """Where the run after a kill went on; where it is refused because of a lock that the kill left, after unlocking."""
    if is_done(run) or not project.peer.unlock:
        return describe_resumed(run, EPOCHS - run.count("epoch"))
    project.run(project.peer.unlock)
    run = project.run(project.peer.rerun)
    return f"{describe_resumed(run, EPOCHS - run.count('epoch'))}, after `{project.peer.unlock}`"


def _kill_ours(project: Project) -> str:
    """digitflow writes checkpoints by itself, so the kill follows the first of them in a longer training."""
    longer = project.peer.run.replace(f"--epochs {EPOCHS}", "--epochs 40")
    checkpoints = project.place / "home/checkpoints"
    killed = project.run_and_kill(longer, lambda: any(checkpoints.glob("*/*")))
    if killed.status == 0:
        return "not killed"
    run = project.run(longer)
    before, found, _ = run.output.partition("training continues after ")[2].partition(" epochs")
    return describe_resumed(run, int(before) if found else 0)


def kill_in_write(project: Project, sound: Sound) -> str:
    """The process that writes the training images is killed half way through their file; then the run that goes on."""
    project.make()
    killed = project.run(project.peer.run, PEERS_WRITE_LIMIT=str(sound.size // 2))
    if is_done(killed) or killed.count("train"):
        return "not killed"
    return describe_rewritten(project.run(project.peer.rerun), sound.digest)


def two_at_once(project: Project, _: Sound) -> str:
    """The same run twice in an empty project."""
    project.make()
    before = len(project.events())
    processes = [project.start(project.peer.run) for _ in range(2)]
    deadline = time.monotonic() + PATIENCE
    statuses = [_wait(process, deadline) for process in processes]
    for process in processes:
        project.end_all(process)
    runs = [Finished(status, 0, "", []) for status in statuses]
    runs[0] = runs[0]._replace(events=project.events()[before:])
    return describe_two(runs)


def _wait(process: "subprocess.Popen[bytes]", deadline: float) -> int:
    try:
        return process.wait(max(1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return -1


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if old not in text:
        raise SystemExit(f"{file} lacks {old!r}")
    file.write_text(text.replace(old, new))


Fault = Callable[[Project, Sound], str]
AFTER_A_RUN: dict[str, Fault] = {
    "deep edit": edit_deep,
    "bit flip": flip_bit,
    "bit flip, times kept": flip_bit_secretly,
    "comment": edit_comment,
    "library": upgrade_library,
}
"""The faults of a project in which a run ended."""
FROM_NOTHING: dict[str, Fault] = {
    "killed in training": kill_in_training,
    "killed in a write": kill_in_write,
    "two at once": two_at_once,
}
"""The faults of an empty project."""
