"""The command line refuses a wrong request in one line before anything starts, and its help is quick."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from flows.cli.app import _print_error
from tasks.data.datasets import FILES
from tasks.model.recipes import RECIPES
from tests.command import assert_refused, digitflow
from tests.flows.cli.conftest import Called


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "minst"], ["'minst'", "did you mean 'mnist'?", FILES[0]]),
        (["--recipe", "perfect"], ["perfect", *RECIPES]),
        (["--epochs", "0"], ["epochs", "should be at least 1", "0"]),
        (["--epochs", "many"], ["epochs", "many"]),
        (["--filters", "8", "--kernel-size", "3", "--kernel-size", "5"], ["kernel_size", "filters"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--min-accuracy", "2"], ["--min-accuracy", "2"]),
        (["--learning-speed", "1"], ["--learning-speed"]),
        (["mnist", "0", "fashion"], ["fashion"]),
    ],
)
def test_wrong_command_line(arguments: list[str], words: list[str], home: Path) -> None:
    """A wrong option gives one line and exit status 2, and makes no file."""
    assert_refused(digitflow("train", *arguments), 2, *words)
    assert not home.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("models promote 9", "models promote needs --reason"),
        ("verify", "verify needs RUN"),
        ("train --epochs", "--epochs needs a value"),
        ("models show x", "VERSION is 'x', not a whole number"),
        ("train --seed 1.5", "--seed is '1.5', not a whole number"),
        ("experiment --seeds 1.5", "--seeds is '1.5', not a whole number"),
        ("train --min-accuracy high", "--min-accuracy is 'high', not a number"),
        ("models history --at yesterday", "--at is 'yesterday', not a date and time such as"),
        ("cache prune --max-size lots", "--max-size is 'lots', not a size such as 2GB"),
        ("cache prune --older-than long", "--older-than is 'long', not a time such as 12h or 30d"),
        ("models show --version x", "--version is 'x', not a whole number"),
        ("predict --modle 3 t.png", "--modle is neither an option of predict nor a file"),
        ("predict http://ann:pw@host/x.npz --output o.csv", "http://host/x.npz was given with a password"),
        ("train --min-accuracy 97", "--min-accuracy: should be at most 1 (got '97'); see --help"),
        ("train --seed -1", "--seed: should be at least 0 (got '-1'); see --help"),
        ("train --dataset=", "--dataset is empty; give a value"),
        ("models --dataset=", "--dataset is empty; give a value"),
        ("train --gate=", "--gate is empty; give a value"),
        ("train --dataset ~nobody-here/x", "~nobody-here/x begins with a home that cannot be found"),
        ("data check ~nobody-here/x", "~nobody-here/x begins with a home that cannot be found"),
        ("data add ~nobody-here/x", "~nobody-here/x begins with a home that cannot be found"),
        ("train --kernel-size 99", "--kernel-size: should be at most 64 (got 99); see --help"),
        ("train --dropout nan", "--dropout is 'nan', not a number; see --help"),
        ("train --filters 1.5", "--filters is '1.5', not a whole number; see --help"),
        ("train --kernel-size 3 2.7", "--kernel-size is '2.7', not a whole number; see --help"),
        ("train --epochs none", "--epochs is 'none', not a whole number; see --help"),
        ("train --dropout None", "--dropout is 'None', not a number; see --help"),
        ("train --activation none", 'Invalid value "none" for --activation. Choose from: "linear", "relu"'),
        ("models --dataset none", "there is no version of 'none'"),
        ("experiment --processes 0", "--processes: should be at least 1 (got '0'); see --help"),
        ("train --filters", "--filters needs a value; see --help"),
        ("train --dense --seed 1", "--dense needs a value; see --help"),
        ("train --refresh --seed 1", "--refresh needs a value; see --help"),
        ("experiment --variants", "--variants needs a value; see --help"),
        ("cache prun", "nothing takes 'prun'; did you mean 'prune'? See --help"),
        ("data evict x", "nothing takes 'evict' 'x'; choose from: 'check', 'add'"),
    ],
)
def test_what_is_wrong(line: str, words: str, call: Callable[..., Called], home: Path) -> None:
    """The error names the option as the help does, the value, and what is asked for, and no value is guessed."""
    called = call(*line.split())
    assert (called.status, called.stdout) == (2, "") and called.stderr.startswith(f"digitflow: {words}")
    assert called.stderr.count("\n") == 1 and not home.exists()


def test_an_empty_argument_is_no_folder(call: Callable[..., Called]) -> None:
    """An empty path, such as an unset variable of a shell, is not the current folder."""
    for arguments in (("data", "check", ""), ("data", "add", ""), ("predict", "")):
        called = call(*arguments)
        assert called.status == 2 and "is empty" in called.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/data/x"), "/data/x cannot be used: Permission denied; change its"),
        (OSError(28, "No space left on device"), "the output cannot be used: No space left on device; make room"),
    ],
)
def test_what_a_person_has_to_change(
    error: OSError, words: str, call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of permissions or of a full disk, wherever it arises, is one line and an exit status; a bug is not."""

    def fail(raised: Exception) -> None:
        raise raised

    monkeypatch.setattr("artifacts.storage.settings.Settings.load", lambda: fail(error))
    called = call("runs")
    assert called.status == 1 and called.stderr.startswith(f"digitflow: {words}") and called.stderr.count("\n") == 1
    monkeypatch.setattr("artifacts.storage.settings.Settings.load", lambda: fail(FileNotFoundError(2, "none", "/x")))
    with pytest.raises(FileNotFoundError):
        call("runs")


def test_a_terminal_without_the_letters(home: Path, digits_folder: Path) -> None:
    """A terminal that cannot show a letter gets its code, and the rest."""
    run = digitflow("data", "check", digits_folder, PYTHONIOENCODING="ascii")
    assert (run.returncode, run.stderr) == (0, "") and "8\\xd78 pixels" in run.stdout


def test_unknown_verb(home: Path) -> None:
    """The error about an unknown verb suggests a known one."""
    assert_refused(digitflow("trian"), 2, "trian", "train")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DIGITFLOW_MIRRORS", "ftp://x"),
        ("DIGITFLOW_TIMEOUT", "abc"),
        ("DIGITFLOW_TIMEOUT", "0"),
        ("DIGITFLOW_MAX_FILE_BYTES", "-1"),
    ],
)
def test_unusable_setting(variable: str, value: str, home: Path) -> None:
    """The error names an unusable variable and its value; the exit status is 2, and no file is made."""
    assert_refused(digitflow("train", **{variable: value}), 2, variable, value)
    assert not home.exists()


@pytest.mark.parametrize("below", ["", "below"])
def test_home_that_is_a_file(below: str, digits_folder: Path, home: Path) -> None:
    """The error about a home that cannot be a folder names it, and the variable that moves it."""
    home.write_text("a file")
    run = digitflow("train", "--dataset", digits_folder, DIGITFLOW_HOME=str(home / below))
    assert_refused(run, 2, str(home), "DIGITFLOW_HOME")
    assert home.read_text() == "a file"


def test_help_is_quick_and_grouped() -> None:
    """Help lists the option groups, defaults and an example, and imports no slow library."""
    script = "import sys; from flows.cli.app import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    run = digitflow("train", "--help", command=(sys.executable, "-c", script), COLUMNS="120")
    assert run.returncode == 0
    for words in ("What to train", "Gate", "How to run", "Hyperparameters", "[default: mnist]", "Example: digitflow"):
        assert words in run.stdout
    assert not {"prefect", "keras", "tensorflow", "pandas", "matplotlib"} & set(run.stderr.split())


@pytest.mark.parametrize("verb", [
    *("train", "experiment", "explain-cache", "cache", "cache prune", "runs", "verify", "models", "models show"),
    *("models promote", "models rollback", "models history", "data", "data add", "data check", "data withdraw"),
    *("data release", "predict", "serve", "doctor", "completion"),
])  # fmt: skip
def test_each_verb_has_help(verb: str, call: Callable[..., Called]) -> None:
    """The help of each verb says what it does, in a sentence, and describes every option."""
    called = call(*verb.split(), "--help")
    usage, _, sentence, *_ = called.stdout.splitlines()
    assert (called.status, called.stderr) == (0, "")
    assert usage.startswith(f"Usage: digitflow {verb}") and sentence[0].isupper()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("tr", "train"), ("train --rec", "--recipe"), ("train --recipe ti", "tiny"), ("models roll", "rollback")],
)
def test_completion(typed: str, completed: str) -> None:
    """bash completes verbs, options and their values by the script that `completion bash` prints."""
    line = f"COMP_WORDS=(digitflow {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
    script = digitflow("completion", "bash").stdout
    bash = subprocess.run(
        ["bash", "-c", f"{script}\n{line}; _digitflow; echo ${{COMPREPLY[@]}}"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (bash.stdout.split(), bash.stderr) == ([completed], "")


def test_a_server_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that answers an error of its own is named in one line; that is no bug of digitflow."""
    request = httpx.Request("POST", "http://me:secret@127.0.0.1:4200/api/flows/")
    failed = httpx.HTTPStatusError("500", request=request, response=httpx.Response(500, request=request))
    assert _print_error(failed) == 1
    told = "http://127.0.0.1:4200/api/flows/ answered 500; see its log, and whether its disk is full"
    assert capsys.readouterr().err == f"digitflow: {told}\n"
