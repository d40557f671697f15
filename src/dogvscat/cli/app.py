"""The commands, registered with Typer."""

import inspect
from collections.abc import Sequence
from importlib import import_module

import typer

from dogvscat.cli.overview import NAMES
from dogvscat.errors import UsageError


def command_line(names: Sequence[str] = NAMES) -> typer.Typer:
    """The command line with these commands only: each module is imported, which takes time.

    Args:
        names: Some of `NAMES`, all by default.
    """
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
    )
    app.callback()(_no_options)
    for name in names:
        command = import_module(f"dogvscat.cli.{name.replace('-', '_')}").command
        # One line per paragraph: the terminal wraps the text, and the line ends of the source would cut it up.
        paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
        app.command(name, help="\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs))(command)
    return app


def run_app(arguments: Sequence[str]) -> int:
    """Read a command line and run its command.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code; 130 after Ctrl-C.

    Raises:
        UsageError: if a command, an option or an argument is wrong.
    """
    # All commands if the first word is none: the error then names similar ones.
    app = command_line([name for name in NAMES if name in arguments[:1]] or NAMES)
    try:
        result = app(args=arguments, standalone_mode=False)
    except typer.TyperException as error:
        hint = "`dogvscat --help` lists the commands, and `dogvscat COMMAND --help` the options of one."
        raise UsageError(error.format_message(), hint=hint) from None
    return result if isinstance(result, int) else 0


def _no_options() -> None:
    """With this, Typer expects the name of a command even if it knows only one."""
