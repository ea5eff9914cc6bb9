"""The command `digitflow`. Heavy libraries are imported where a verb needs them, so that help is quick."""

import _thread
import os
import sys
import threading
import time
from importlib.metadata import version
from typing import Annotated

from cyclopts import App, CycloptsError
from pydantic import ValidationError

from artifacts.datasets import SAMPLE
from artifacts.errors import DigitflowError
from artifacts.hyperparameters import explain
from artifacts.progress import tell
from artifacts.settings import Settings
from flows import console, data, housekeeping, models, predict, serve
from flows.plan import PATIENCE, Plan
from flows.request import Flag, Request
from flows.server import is_configured
from flows.session import session
from flows.trying import Trying

MISUSED = 2
REJECTED = 3
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

for verb in (
    housekeeping.cache,
    housekeeping.runs,
    housekeeping.verify,
    models.models,
    data.data,
    predict.predict,
    serve.serve,
):
    app.command(verb)


@app.command
def train(
    *,
    request: Request | None = None,
    or_sample: Annotated[bool, Flag] = False,
    json: Annotated[bool, Flag] = False,
    verbose: Annotated[bool, Flag] = False,
) -> int:
    """Train, evaluate, check and save a model. Steps whose inputs, code and libraries are the same come from the cache.

    Example: digitflow train --dataset fashion-mnist --epochs 5 --min-accuracy 0.87

    Parameters
    ----------
    or_sample: bool
        If no mirror answers within 8 s, warn and use mnist-sample.
    json: bool
        Print one JSON object on stdout; all else goes to stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    started = time.monotonic()
    settings, has_server = Settings.load(), is_configured()
    parameters = (request or Request()).parameters()
    plan = Plan.of(**parameters, settings=settings)  # what can be refused is refused before a server starts
    with session(settings, verbose) as ready:
        from flows.ahead import get_ahead

        if or_sample and not _obtainable(plan, settings):
            console.say(f"no mirror of {plan.source.name} answers; using {SAMPLE} instead, so expect a lower accuracy")
            parameters |= {"dataset": SAMPLE}
            plan = Plan.of(**parameters, settings=settings)
        if not has_server:  # else there is nothing to wait for, and the flow does it meanwhile
            get_ahead(plan, settings)
        ready()
        tell("start", done=1, total=1)
        from flows.training import training

        outcome = training(**parameters)
    outcome.seconds = round(time.monotonic() - started, 2)
    console.show_outcome(outcome, as_json=json)
    return 0 if outcome.gate.passed else REJECTED


@app.command
def experiment(
    *,
    trying: Trying | None = None,
    request: Request | None = None,
    json: Annotated[bool, Flag] = False,
    verbose: Annotated[bool, Flag] = False,
) -> int:
    """Compare variants of a recipe on held-out training images, with several seeds, and train and judge the best.

    Example: digitflow experiment --variants "dense layer" dropout --seeds 5

    Parameters
    ----------
    json: bool
        Print one JSON object on stdout; all else goes to stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    started = time.monotonic()
    settings = Settings.load()
    parameters = (trying or Trying()).parameters(request or Request(), settings)
    with session(settings, verbose) as ready:
        from flows.experiments import experiments

        ready()
        tell("start", done=1, total=1)
        found = experiments(**parameters)
    found.seconds = round(time.monotonic() - started, 2)
    console.show_experiment(found, as_json=json)
    return REJECTED if found.outcome and not found.outcome.gate.passed else 0


@app.command
def explain_cache(*, request: Request | None = None, json: Annotated[bool, Flag] = False) -> int:
    """Say for each step whether `train` with the same options would take it from the cache, and if not, what changed.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    settings = Settings.load()
    plan = Plan.of(**(request or Request()).parameters(), settings=settings)
    from flows.explain import explain as foretell

    findings = foretell(plan, settings)
    if json:
        console.show_json([finding.model_dump(mode="json") for finding in findings])
    else:
        rows = [(finding.name, finding.cache, "; ".join(finding.reasons)) for finding in findings]
        console.show_table([("STEP", "CACHE", "WHY"), *rows])
    return 0


def _obtainable(plan: Plan, settings: Settings) -> bool:
    """Whether the data set is in the cache, needs no mirror, or has one that answers."""
    from flows.explain import explain as foretell
    from tasks.download import any_reachable

    if not plan.mirrors.urls or foretell(plan, settings)[0].cache == "hit":
        return True
    return any_reachable(plan.mirrors, PATIENCE)


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
        what = explain(cause) if isinstance(cause, ValidationError) else str(error).partition(" Available commands")[0]
        console.say(f"{what.rstrip('.')}; see --help")
        return MISUSED
    if isinstance(error, DigitflowError):
        console.say(str(error))
        return error.exit_code
    raise error


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind the error: a library whose import it cuts short raises one of its own."""
    return isinstance(error, KeyboardInterrupt) or bool(error and _is_interrupt(error.__cause__ or error.__context__))


if __name__ == "__main__":
    main()
