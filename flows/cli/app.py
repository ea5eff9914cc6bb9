"""The command `digitflow`. Heavy libraries are imported where a verb needs them, so that help is quick."""

import _thread
import os
import sys
import threading
from importlib.metadata import version

from cyclopts import App, CycloptsError
from pydantic import ValidationError

from artifacts.errors import DigitflowError, describe_validation_error
from flows.cli import output as console
from flows.cli.verbs.cache import cache
from flows.cli.verbs.data import data
from flows.cli.verbs.experiment import experiment
from flows.cli.verbs.explain_cache import explain_cache
from flows.cli.verbs.models import models
from flows.cli.verbs.predict import predict
from flows.cli.verbs.runs import runs, verify
from flows.cli.verbs.serve import serve
from flows.cli.verbs.train import train

MISUSED = 2
INTERRUPTED = 130

app = App(
    name="digitflow",
    help="Train image classifiers in a pipeline whose cache, gate and weights can be trusted.",
    help_epilogue="Settings, as environment variables: DIGITFLOW_HOME, _MIRRORS, _TIMEOUT, _STORE, _MAX_SIZE, _INBOX; "
    "MLFLOW_TRACKING_URI. Exit status: 0 done (the model passed), 3 the gate rejected it, 2 unusable request, "
    "1 anything else.",
    version=lambda: version("digitflow"),
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

for verb in (train, experiment, explain_cache, cache, runs, verify, models, data, predict, serve):
    app.command(verb)


def main() -> None:
    """Run the command line; turn the errors that a user can cause into one line and an exit status."""
    sys.unraisablehook = _insist
    if sys.stderr is None:  # closed by who started us; nothing else may get its descriptor
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        status = app(result_action="return_value", exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError:  # who read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (Exception, KeyboardInterrupt) as error:
        status = _told(error)
    sys.exit(status)


def _insist(unraisable: "sys.UnraisableHookArgs") -> None:
    """Interrupt again where Ctrl-C hit a library that could not raise it, as one that is being imported."""
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def _told(error: BaseException) -> int:
    """Say in one line what went wrong; raise a bug on, with its traceback."""
    if _is_interrupt(error):
        console.say("interrupted; run the same command again to go on")
        return INTERRUPTED
    if isinstance(error, CycloptsError):
        cause = error.__cause__
        what = (
            describe_validation_error(cause)
            if isinstance(cause, ValidationError)
            else str(error).partition(" Available commands")[0]
        )
        console.say(f"{what.rstrip('.')}; see --help")
        return MISUSED
    if isinstance(error, DigitflowError):
        console.say(str(error))
        return error.exit_code
    raise error


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind the error: a library whose import it cuts short raises one of its own."""
    return isinstance(error, KeyboardInterrupt) or bool(error and _is_interrupt(error.__cause__ or error.__context__))
