"""The command `digitflow`. Heavy libraries are imported where a verb needs them, so that help is quick."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import App, Group, Parameter
from cyclopts.validators import Number

from artifacts.datasets import SAMPLE
from artifacts.errors import DigitflowError
from artifacts.gate import Gate
from artifacts.hyperparameters import Overrides, Recipe
from artifacts.settings import Settings
from flows import console

REJECTED = 3
INTERRUPTED = 130

app = App(
    name="digitflow",
    help="Train image classifiers in a pipeline whose cache, gate and weights can be trusted.",
    help_epilogue="Settings: DIGITFLOW_HOME (artifacts/home), DIGITFLOW_MIRRORS, DIGITFLOW_TIMEOUT (4 s). "
    "Exit status: 0 passed, 3 rejected by the gate, 2 wrong command line, 1 anything else.",
    version_flags=["--version"],
    error_formatter=lambda error: f"digitflow: {error}; see --help".replace("\n", " "),
)

WHAT = Group("What to train", sort_key=0)
GATE = Group("Gate", sort_key=1)
HOW = Group("How to run", sort_key=2)
HYPERPARAMETERS = Group("Hyperparameters (default: the recipe's own)", sort_key=3)


@app.command
def train(
    *,
    dataset: Annotated[str, Parameter(group=WHAT)] = "mnist",
    recipe: Annotated[Recipe, Parameter(group=WHAT)] = "tutorial",
    seed: Annotated[int, Parameter(group=WHAT, validator=Number(gte=0, lt=2**32))] = 0,
    min_accuracy: Annotated[float | None, Parameter(group=GATE, validator=Number(gte=0, lte=1))] = None,
    or_sample: Annotated[bool, Parameter(group=HOW, negative="")] = False,
    json: Annotated[bool, Parameter(group=HOW, negative="")] = False,
    verbose: Annotated[bool, Parameter(group=HOW, negative="")] = False,
    hyperparameters: Annotated[Overrides | None, Parameter(name="*", group=HYPERPARAMETERS)] = None,
) -> int:
    """Train, evaluate, check and save a model. Steps whose inputs, code and libraries are unchanged come from the cache.

    Example: digitflow train --dataset fashion-mnist --epochs 5 --min-accuracy 0.87

    Parameters
    ----------
    dataset: str
        mnist, fashion-mnist, mnist-sample (5,000 images, no download), or a folder with the four IDX files.
    recipe: str
        Named set of hyperparameters; "tutorial-verbatim" has the tutorial's own learning rate and batch size.
    seed: int
        Decides initial weights, order and dropout.
    min_accuracy: float
        Least accuracy on the test images. Default: 0.974 for the tutorial on MNIST; else the recipe's own,
        or, for your own data, the share of the most frequent class.
    or_sample: bool
        If no mirror answers within 8 s, warn and use mnist-sample.
    json: bool
        Print one JSON object on stdout; all else goes to stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    started = time.monotonic()
    settings = Settings.load()
    request = {
        "dataset": dataset,
        "recipe": recipe,
        "seed": seed,
        "hyperparameters": hyperparameters or Overrides(),
        "gate": Gate(min_accuracy=min_accuracy),
    }
    with _prefect(settings, verbose) as ready:
        request = _prepare(request, or_sample, settings)
        ready()
        from flows.training import training

        outcome = training(**request)
    outcome.seconds = round(time.monotonic() - started, 2)
    console.show_outcome(outcome, as_json=json)
    return 0 if outcome.gate.passed else REJECTED


def _prepare(request: dict[str, Any], or_sample: bool, settings: Settings) -> dict[str, Any]:
    """Settle what can be settled while the server starts: the data set, and Keras if a step will need it."""
    from flows.explain import explain
    from flows.plan import PATIENCE, Plan
    from tasks.download import any_reachable

    plan = Plan.of(**request, settings=settings)
    findings = explain(plan, settings)
    if or_sample and plan.mirrors.urls and findings[0].cache != "hit" and not any_reachable(plan.mirrors, PATIENCE):
        console.say(f"no mirror of {plan.source.name} answers; using {SAMPLE} instead, so expect a lower accuracy")
        return _prepare(request | {"dataset": SAMPLE}, False, settings)
    if any(finding.cache != "hit" and "keras" in finding.shaped_by for finding in findings):
        import keras  # noqa: F401
    return request


@contextmanager
def _prefect(settings: Settings, verbose: bool) -> Iterator[Callable[[], None]]:
    """Prefect's API for the duration of a command: the configured server's, or that of one of our own.

    Yields a function that returns when the server is up; much can be done meanwhile.
    """
    from flows.server import embedded, flush, is_configured

    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with console.native_output_in(settings.home / "native.log"), console.live():
        if is_configured():
            yield lambda: None
            return
        with embedded(settings.home / "prefect") as server:
            try:
                yield server.wait
            finally:
                flush()


def main() -> None:
    """Run the command line; turn the errors that a user can cause into one line and an exit status."""
    try:
        status = app(result_action="return_value")
    except DigitflowError as error:
        console.say(str(error))
        status = error.exit_code
    except KeyboardInterrupt:
        console.say("interrupted; run the same command again to go on")
        status = INTERRUPTED
    sys.exit(status)
