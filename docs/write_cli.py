"""Write docs/cli.md, the reference of the command line, from the commands themselves: `make docs`.

tests/test_docs.py fails if the file and the commands differ.
"""

from pathlib import Path
from typing import Any

import typer

from dogvscat.cli.app import command_line
from dogvscat.cli.overview import FIRST_SCREEN

PAGE = Path(__file__).parent / "cli.md"

INTRODUCTION = f"""\
# Command line

This page is written by `make docs` from the commands; `dogvscat COMMAND --help` prints the same texts.
[use.md](use.md) shows the commands at work.

```text
{FIRST_SCREEN.rstrip()}
```

**Output.** Results go to stdout, everything else (messages, progress bars, errors) to stderr. With `--json`, stdout has
only JSON. No command changes your photos. Colors appear only on a terminal, and never if `NO_COLOR` is set.

**Exit codes.** 0: success. 2: wrong usage or an impossible setting. 3: photos that are missing or cannot be used.
4: a run folder or bundle that cannot be used, or a training that diverged. 1: any other error, such as a full disk.
130: stopped by Ctrl-C.

**Files.** Caches and downloads are kept in `DOGVSCAT_HOME`, by default in the user's cache folder; `dogvscat cache`
shows and clears them. Otherwise only run folders and the files and folders that you name are written, with two
exceptions ([use.md](use.md#threads-files-reports)). `DOGVSCAT_DATA` names the photos that `dogvscat train` uses when
none are given.
"""


def write_reference() -> str:
    """The whole page as Markdown."""
    group: Any = typer.main.get_command(command_line())  # Typer's own classes differ between its versions
    sections = [describe_command(name, command) for name, command in group.commands.items()]
    return "\n".join([INTRODUCTION, *sections])


def describe_command(name: str, command: Any) -> str:
    """The section of one command: usage, description, and tables of arguments and options."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    required = [f"{option.opts[0]} {_placeholder(option)}" for option in options if option.required]
    usage = " ".join(["dogvscat", name, "[OPTIONS]", *required, *map(_usage_of_argument, arguments)])
    lines = [f"## {name}", "", "```text", usage, "```", "", command.help, ""]
    lines += _table(("argument", "meaning", "default"), arguments)
    lines += _table(("option", "meaning", "default"), options)
    return "\n".join(lines)


def _usage_of_argument(argument: Any) -> str:
    placeholder = _placeholder(argument)
    return placeholder if argument.required else f"[{placeholder}]"


def _table(header: tuple[str, ...], parameters: list[Any]) -> list[str]:
    if not parameters:
        return []
    rows = [f"| {' | '.join(header)} |", "|---|---|---|"]
    for parameter in parameters:
        cells = (f"`{_signature(parameter)}`", f"{parameter.help}{_range(parameter)}", _default(parameter))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*rows, ""]


def _signature(parameter: Any) -> str:
    """How a parameter is written: `PHOTOS...`, `--out FOLDER`, `--pruning / --no-pruning`."""
    if parameter.param_type_name == "argument":
        return _placeholder(parameter)
    names = " / ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {_placeholder(parameter)}"


def _placeholder(parameter: Any) -> str:
    dots = "..." if parameter.nargs == -1 else ""
    return (parameter.metavar or "N") + dots  # the options without a name for their value are numbers


def _range(parameter: Any) -> str:
    """The limits of a number, as a sentence."""
    low, high = parameter.min, parameter.max
    if low in (None, 0) and high is None:  # that a count or a seed is not negative needs no words
        return ""
    return f" At least {low:,}." if high is None else f" From {low:,} to {high:,}."


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.secondary_opts:  # a switch with a name for each of its positions
        return f"`{(parameter.opts if parameter.default else parameter.secondary_opts)[0]}`"
    if parameter.default is None or parameter.default is False:
        return ""
    return f"`{getattr(parameter.default, 'value', parameter.default)}`"  # of an enumeration, its value


if __name__ == "__main__":
    PAGE.write_text(write_reference(), encoding="utf-8")
