"""The command line: one app, one boundary where errors become a red line and an exit code. Commands live beside it."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from dogvscat._version import __version__
from dogvscat.cli import (
    audit,
    cache,
    compare,
    evaluate,
    explain,
    export,
    fetch,
    lr_find,
    output,
    predict,
    runs,
    sample,
    serve,
    study,
    train,
    tune,
)
from dogvscat.errors import DogvscatError, Interrupted
from dogvscat.text import printable

FIRST_SCREEN = """\
dogvscat tells dogs from cats in photographs, learning from scratch.

  dogvscat predict photo.jpg       what is on a photo (a network comes with the package)
  dogvscat explain photo.jpg --out why/    what the answer comes from, as a heat-map
  dogvscat serve                   a page to drop photos on, and an HTTP service
  dogvscat train photos/           train your own from a folder or zip: one folder a class
  dogvscat audit photos/           find broken, doubled and doubtful photos first
  dogvscat evaluate runs/classic-1 photos/ --out judged/    judge a network on other photos
  dogvscat compare runs/a runs/b   which of two trainings is better, and is it more than luck?
  dogvscat study photos/ --out study/    what does each technique do? (tune, lr-find, runs: see --help)
  dogvscat export --format litert --out phone/    the network for a phone, a browser, another library
  dogvscat fetch                   download 25,000 photos of cats and dogs
  dogvscat sample drawings/        draw cats and dogs, to try everything without photos

Start with `dogvscat predict` on a photo of your own. `dogvscat --help` lists every command,
and `dogvscat COMMAND --help` explains one.
"""

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback(invoke_without_command=True)
def first(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    """Train a dog-or-cat classifier from scratch, judge it honestly, and use it anywhere.

    With two folders of photos, begin with `dogvscat train PHOTOS`; with none, with `dogvscat predict PHOTO`.
    """
    if version:
        output.show(f"dogvscat {__version__}")
    elif context.invoked_subcommand is None:
        for line in FIRST_SCREEN.splitlines():
            output.show(line)


for module in [
    *(predict, explain, serve, export),
    *(train, evaluate, compare, runs, study, tune, lr_find),
    *(audit, fetch, sample, cache),
]:
    app.command(module.__name__.rpartition(".")[2].replace("_", "-"))(module.command)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with the right exit code.

    It leaves without taking its modules apart first, which would take a seventh of the time of one prediction.
    """
    gc.set_threshold(100_000)  # nearly all that is made at the start stays: a search for what can go finds nothing
    code = main(arguments)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; those of the process if None.

    Returns:
        The exit code: 0 ok, 2 usage, 3 data, 4 model, 1 other, 130 interrupted. Errors nobody foresaw keep their
        traceback.
    """
    try:
        result = app(args=arguments, standalone_mode=False)
        output.flush()
    except DogvscatError as error:
        _report(error.message, error.hint)
        return error.exit_code
    except typer.TyperException as error:  # a wrong option, argument or command
        _report(error.format_message(), "`dogvscat --help` lists the commands, `dogvscat COMMAND --help` its options.")
        return 2
    except BrokenPipeError:  # whoever read the results has seen enough
        return 1
    code = result if isinstance(result, int) else 0
    if code == Interrupted.exit_code:  # nothing went wrong: somebody pressed Ctrl-C
        output.report("stopped")
    return code


def _report(message: str, hint: str | None) -> None:
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    shown = f"{red}error: {printable(message)}{plain}\n" + (f"hint: {printable(hint)}\n" if hint else "")
    sys.stderr.buffer.write(shown.encode())
    sys.stderr.flush()
