"""The command line: registers the commands and turns errors into a red line and an exit code."""

import atexit
import gc
import inspect
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
    network,
    output,
    predict,
    runs,
    sample,
    serve,
    sign,
    study,
    train,
    tune,
    visualize,
)
from dogvscat.errors import DogvscatError, Interrupted
from dogvscat.text import printable

FIRST_SCREEN = """\
dogvscat tells dogs from cats in photographs, with networks trained from scratch.

Use the bundled model
  dogvscat predict photo.jpg                      which animal a photo shows, with probabilities
  dogvscat explain photo.jpg --out why/           which parts of the photo decided, as a heat map
  dogvscat visualize --out inside/                a web page: what each layer of the network makes of a photo
  dogvscat serve                                  a web page to drop photos on, and an HTTP service
  dogvscat export --format litert --out app/      convert the model for a phone, a browser or another library

Train your own
  dogvscat train photos/                          from a folder or zip file with one folder per class (recipe: fast)
  dogvscat train photos/ --recipe classic         the small, plain network to learn from
  dogvscat evaluate runs/fast-1 new/ --out eval/  measure the trained model on other photos
  dogvscat network classic                        the layers of a network, as a table and a picture
  dogvscat compare runs/fast-1 runs/classic-1     which of two runs is better, and is the difference more than luck?
  dogvscat study photos/ --out study/             what does each technique do? (see also tune, lr-find and runs)

Photos
  dogvscat audit photos/                          find broken, duplicate and odd photos before training
  dogvscat fetch                                  download 25,000 photos of cats and dogs
  dogvscat sample drawings/                       draw cats and dogs, to try everything without photos

Start with `dogvscat predict` on a photo of your own. `dogvscat --help` lists every command,
and `dogvscat COMMAND --help` explains one.
"""

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback(invoke_without_command=True)
def show_first_screen(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Train a dog-or-cat classifier from scratch, evaluate it with confidence intervals, and use it.

    Start with `dogvscat predict PHOTO`, or train your own with `dogvscat train PHOTOS`.
    """
    if version:
        output.show(f"dogvscat {__version__}")
    elif context.invoked_subcommand is None:
        for line in FIRST_SCREEN.splitlines():
            output.show(line)


for module in [  # in the order of --help: use a model, train one, prepare photos
    *(predict, explain, visualize, serve, export, sign),
    *(train, evaluate, compare, runs, network, study, tune, lr_find),
    *(audit, fetch, sample, cache),
]:
    # One line per paragraph: the terminal wraps the text, and the line ends of the source would cut it up.
    paragraphs = inspect.cleandoc(module.command.__doc__ or "").split("\n\n")
    app.command(
        module.__name__.rpartition(".")[2].replace("_", "-"),
        help="\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs),
    )(module.command)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the right exit code.

    The process ends without destroying its modules first, which would take a seventh of the time of one prediction.
    """
    gc.set_threshold(100_000)  # nearly everything allocated at the start stays: collecting finds no garbage
    code = main(arguments)
    atexit._run_exitfuncs()  # os._exit skips these, and the output buffers
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None for those of the process.

    Returns:
        The exit code: 0 ok, 2 usage, 3 data, 4 model, 1 other, 130 interrupted. Unforeseen errors are not caught and
        show their traceback.
    """
    try:
        result = app(args=arguments, standalone_mode=False)
        output.flush()
    except DogvscatError as error:
        _report_error(error.message, error.hint)
        return error.exit_code
    except typer.TyperException as error:  # a wrong option, argument or command
        hint = "`dogvscat --help` lists the commands, and `dogvscat COMMAND --help` the options of one."
        _report_error(error.format_message(), hint)
        return 2
    except BrokenPipeError:  # the reader of the results closed the pipe, as `head` does
        return 1
    code = result if isinstance(result, int) else 0
    if code == Interrupted.exit_code:  # Typer returns this code for Ctrl-C
        output.report("stopped")
    return code


def _report_error(message: str, hint: str | None) -> None:
    # ANSI codes for red and for the default color; NO_COLOR: https://no-color.org
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    text = f"{red}error: {printable(message)}{plain}\n" + (f"hint: {printable(hint)}\n" if hint else "")
    sys.stderr.buffer.write(text.encode())
    sys.stderr.flush()
