"""The entry point: runs one command line and turns errors into a red line and an exit code."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from dogvscat.cli import output
from dogvscat.cli.plain_predict import read_plain_predict
from dogvscat.errors import DogvscatError, Interrupted
from dogvscat.text import printable


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
        code = _run_command(arguments)
        output.flush()
    except DogvscatError as error:
        _report_error(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:  # the reader of the results closed the pipe, as `head` does
        return 1
    except KeyboardInterrupt:
        code = Interrupted.exit_code
    if code == Interrupted.exit_code:
        output.report("stopped")
    return code


def _run_command(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    plain = read_plain_predict(arguments)
    if plain is not None:
        from dogvscat.cli.answers import answer_photos

        return answer_photos(plain.photos, model=plain.model, threads=plain.threads, as_json=plain.as_json)
    from dogvscat.cli.overview import overview

    if text := overview(arguments):
        for line in text.splitlines():
            output.show(line)
        return 0
    from dogvscat.cli.app import run_app  # here: importing Typer takes as long as half an answer

    return run_app(arguments)


def _report_error(message: str, hint: str | None) -> None:
    # ANSI codes for red and for the default color; NO_COLOR: https://no-color.org
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    text = f"{red}error: {printable(message)}{plain}\n" + (f"hint: {printable(hint)}\n" if hint else "")
    sys.stderr.buffer.write(text.encode())
    sys.stderr.flush()
