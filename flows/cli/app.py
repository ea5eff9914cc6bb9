"""The command `digitflow`. Verbs import heavy libraries where they need them, so that help is quick."""

import io
import math
import os
import sys
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    Token,
    UnusedCliTokensError,
    convert,
)
from cyclopts import ValidationError as RefusedValueError
from pydantic import ByteSize

from artifacts.errors import DigitflowError, InvalidData, UsageError, describe_surroundings, suggest
from artifacts.interrupts import INTERRUPTED, forget_interrupts, is_interrupted
from flows.cli.output import print_note
from flows.cli.servers import bypass_proxies

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


def _version() -> str:
    from importlib.metadata import version

    return version("digitflow")


WANTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    ByteSize: "a size such as 2GB",
    timedelta: "a time such as 12h or 30d",
    bool: "true or false",
    datetime: "a date and time such as 2026-11-24T12:00",
}
"""What a value of a type is called in messages."""


class HelpFormatter:
    """cyclopts' own form of help, with the lines of each paragraph joined: docstrings break at the source's width.

    Its Markdown joins them too, but the import of a parser would be an eighth of the time that help takes.
    """

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        from cyclopts.help.formatters.default import DefaultFormatter

        for entry in panel.entries:
            _join_lines(entry.description)
        DefaultFormatter()(console, options, panel)

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:
        from cyclopts.help.formatters.default import DefaultFormatter

        DefaultFormatter().render_usage(console, options, usage)

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        _join_lines(description)
        console.print(description)


def _join_lines(shown: Any) -> None:
    text = getattr(shown, "primary_renderable", None)
    if text is not None and hasattr(text, "plain"):
        text.plain = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.plain.split("\n\n"))


def _is_whole(kind: Any) -> bool:
    """Whether a type is that of whole numbers, or of several."""
    return kind is int or any(map(_is_whole, get_args(kind)))


def _convert(kind: Any, tokens: Sequence[Token]) -> Any:
    """The value of an option, as cyclopts reads it, but without rounding 1.5 to a whole number.

    Raises UsageError for an empty value: it is not the current folder, nor every data set.
    """
    if empty := [token for token in tokens if not token.value]:
        raise UsageError(f"{empty[0].keyword or 'an argument'} is empty; give a value, or leave it out")
    if NoneType in get_args(kind):  # "none" is a word like any other
        kind = Union[tuple(each for each in get_args(kind) if each is not NoneType)]  # noqa: UP007
    if _is_whole(kind) and get_origin(kind) is tuple and [token.value for token in tokens] == ["none"]:
        return ()  # as a model without dense layers is shown
    if _is_whole(kind):
        for token in tokens:
            if "." in token.value:
                raise CoercionError(token=token, target_type=int)
    try:
        value = convert(kind, tokens)
        if isinstance(value, float) and math.isnan(value):
            raise CoercionError(token=tokens[0], target_type=float)
        return value
    except OverflowError:  # a time of more than two million years
        raise CoercionError(token=tokens[0], target_type=kind) from None


app = App(
    name="digitflow",
    help="Train image classifiers in a pipeline whose cache, gate and weights can be trusted.",
    help_epilogue="docs/operations.md lists the settings, which are environment variables, and the exit statuses.",
    version=_version,
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    help_format="plaintext",
    help_formatter=HelpFormatter(),
    default_parameter=Parameter(converter=_convert),
)

for verb in (
    *("train:train", "experiment:experiment", "train:explain_cache", "cache:cache", "runs:runs", "runs:verify"),
    *("models:models", "data:data", "serve:serve", "serve:drift", "doctor:doctor"),
):
    app.command(f"flows.cli.verbs.{verb}")  # imported when it is typed
# cyclopts calls values that may be left out [ARGS]
app.command("flows.cli.verbs.predict:predict", usage="Usage: digitflow predict [OPTIONS] [IMAGES...]")
app.command("flows.cli.verbs.serve:ui", usage="Usage: digitflow ui [OPTIONS] [prefect|mlflow]")


@app.command
def completion(shell: Literal["bash", "zsh", "fish", "powershell"]) -> int:
    """Print a script that completes verbs and options in a shell.

    Example: eval "$(digitflow completion bash)"

    Parameters
    ----------
    shell: str
        The shell that reads the script.
    """
    sys.stdout.write(app.generate_completion(shell=shell))
    return 0


def main() -> None:
    """Run the command line. An error that a user can cause becomes one line on stderr and an exit status."""
    # else pydantic looks for plugins in the metadata of all packages: a tenth of the time that help takes
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it; no other file may get its descriptor
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):  # of a terminal that cannot show every letter
        sys.stdout.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:  # warnings are for developers of libraries; python -W shows them
        warnings.simplefilter("ignore")
    if sys.argv[1:2] in ([], ["--help"], ["-h"]):  # the help describes each verb, so they are imported
        _ = [app[verb] for verb in app]
    bypass_proxies()
    try:
        status = app(result_action="return_value", exit_on_error=False, print_error=False)
        sys.stdout.flush()
        forget_interrupts()
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (Exception, KeyboardInterrupt) as error:
        status = _print_error(error)
    sys.exit(status)


def _print_error(error: BaseException) -> int:
    """Print an error in one line and return the exit status. A bug is raised again, with its traceback."""
    if isinstance(error, KeyboardInterrupt) or is_interrupted():
        print_note("interrupted; run the same command again to resume")
        return INTERRUPTED
    if isinstance(error, CycloptsError):
        message = _describe(error)
        print_note(f"{message.rstrip('.')}{' See' if message.endswith('?') else '; see'} --help")
        return UsageError.exit_code
    if isinstance(error, DigitflowError):
        print_note(*_lines(error))
        return error.exit_code
    if words := describe_surroundings(error) or _describe_answer(error):
        print_note(words)
        return DigitflowError.exit_code
    raise error


def _describe_answer(error: BaseException) -> str:
    """Which server could not do what was asked of it; "" if the error is another."""
    httpx = sys.modules.get("httpx")
    if not (httpx and isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error):
        return ""
    asked, status = error.request.url, error.response.status_code
    return f"{asked.copy_with(userinfo=b'')} answered {status}; see its log, and whether its disk is full"


def _lines(error: DigitflowError) -> list[str]:
    """The message of an error. If the data have several problems, each has a line."""
    text = str(error)
    if isinstance(error, InvalidData) and len(error.problems) > 1:
        for problem in error.problems:
            text = text.replace(f"{problem}; ", f"\n{problem}\n")
    return [line for line in text.split("\n") if line]


def _describe(error: CycloptsError) -> str:
    """What is wrong with a command line, and what would be right."""
    argument = error.argument
    if isinstance(error, UnusedCliTokensError):
        unused, verbs = error.unused_tokens or [""], [name for name in error.app or () if not name.startswith("-")]
        return f"nothing takes {' '.join(map(repr, unused))}" + (f"; {suggest(unused[0], verbs)}" if verbs else "")
    if argument is None:
        return str(error).partition(" Available commands")[0]
    name = argument.name if argument.index is None else argument.name.removeprefix("--").upper()
    if isinstance(error, MissingArgumentError) and argument.token_count()[0] == 1:
        return f"{error.keyword or ' '.join(error.command_chain or ())} needs {'a value' if error.keyword else name}"
    if isinstance(error, CoercionError) and error.token and error.target_type in WANTED:
        return f"{error.token.keyword or name} is {error.token.value!r}, not {WANTED[error.target_type]}"
    if isinstance(error, RefusedValueError) and argument.tokens and error.exception_message:
        words = error.exception_message.rstrip(".")
        for theirs, ours in (("Must be >= ", "at least "), ("Must be <= ", "at most "), ("Must be < ", "less than ")):
            words = words.replace(theirs, f"should be {ours}")
        return f"{name}: {words} (got {argument.tokens[0].value!r})"
    return str(error)
