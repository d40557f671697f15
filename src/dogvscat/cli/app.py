"""The commands, registered with Typer, and the first screen."""

import inspect
from collections.abc import Sequence
from typing import Annotated

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
from dogvscat.errors import UsageError

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


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Read a command line and run its command.

    Args:
        arguments: Without the program's name; None for those of the process.

    Returns:
        The exit code; 130 after Ctrl-C.

    Raises:
        UsageError: if a command, an option or an argument is wrong.
    """
    try:
        result = app(args=arguments, standalone_mode=False)
    except typer.TyperException as error:
        hint = "`dogvscat --help` lists the commands, and `dogvscat COMMAND --help` the options of one."
        raise UsageError(error.format_message(), hint=hint) from None
    return result if isinstance(result, int) else 0
