"""Plain command lines of `predict` mean the same with and without Typer, and load only what an answer needs."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from dogvscat.cli.answers import answer_photos
from dogvscat.cli.app import command_line
from dogvscat.cli.plain_predict import read_plain_predict

PLAIN = {
    "predict photo.jpg": 1,
    "predict a.jpg folder b.png": 3,
    "predict -": 1,
    "predict --json photo.jpg": 1,
    "predict photo.jpg --json": 1,
    "predict --json --json photo.jpg": 1,
    "predict --model best photo.jpg": 1,
    "predict a.jpg --model runs/fast-1 b.jpg --json": 2,
    "predict predict": 1,
    "predict --threads 1 photo.jpg": 1,
    "predict --threads 256 --model best photo.jpg --json": 1,
    "predict --threads 08 photo.jpg": 1,
}
"""Command lines and their number of photos."""

NOT_PLAIN = [
    "",
    "--help",
    "--version",
    "explain photo.jpg --out why",
    "--json predict photo.jpg",
    "predict",
    "predict --help",
    "predict --json",
    "predict -h photo.jpg",
    "predict --jsn photo.jpg",
    "predict -j photo.jpg",
    "predict -- photo.jpg",
    "predict -- --json",
    "predict --out rows.csv photo.jpg",
    "predict --threads 0 photo.jpg",
    "predict --threads 257 photo.jpg",
    "predict --threads +2 photo.jpg",
    "predict --threads \u0663 photo.jpg",
    "predict --threads many photo.jpg",
    f"predict --threads {'9' * 5000} photo.jpg",
    "predict --threads 2 --threads 2 photo.jpg",
    "predict --require-signature key.pem photo.jpg",
    "predict --model=best photo.jpg",
    "predict photo.jpg --model",
    "predict --model --json photo.jpg",
    "predict --model best --model runs/fast-1 photo.jpg",
]


def read_with_typer(arguments: list[str]) -> dict[str, Any]:
    """The parameters of the command `predict` for its arguments."""
    group: Any = typer.main.get_command(command_line())  # Typer's own classes differ between its versions
    parameters: dict[str, Any] = group.commands["predict"].make_context("predict", arguments).params
    return parameters


@pytest.mark.parametrize(("line", "num_photos"), PLAIN.items())
def test_a_plain_command_line_means_what_typer_reads(line: str, num_photos: int) -> None:
    words = line.split()
    plain = read_plain_predict(words)
    assert plain is not None
    assert len(plain.photos) == num_photos
    parameters = read_with_typer(words[1:])
    assert {name: parameters.pop(name) for name in plain._fields} == plain._asdict()
    # All others have their defaults, which without Typer are those of the function.
    signature = inspect.signature(answer_photos).parameters
    assert parameters == {name: signature[name].default for name in parameters}


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_every_other_command_line_is_left_to_typer(line: str) -> None:
    assert read_plain_predict(line.split()) is None


def test_odd_names_are_photos() -> None:
    for name in ("", "a b.jpg", "\udcff.jpg", "\n"):
        plain = read_plain_predict(["predict", name])
        assert plain is not None
        assert plain.photos == [name]


LIBRARIES = "import numpy, onnxruntime, PIL.Image, PIL.JpegImagePlugin"
"""What a script that answers needs at least."""

OURS = {
    "dogvscat": "_version caches cpus errors labels stderr text",
    "dogvscat.cli": "answers main output photo_arguments plain_predict",
    "dogvscat.bundle": "answer_rules checksums folder graph signature",
    "dogvscat.bundle.predict": "networks prediction predictor verified",
    "dogvscat.judging": "cascade decision",
    "dogvscat.photos": "decoding",
}
"""Every file of this package that an answer loads, apart from those of the decoder."""

STANDARD = {
    *("_blake2", "_hashlib", "_heapq", "_json", "_queue", "_winapi", "concurrent", "copy", "dataclasses", "fnmatch"),
    *("gc", "glob", "hashlib", "heapq", "importlib", "ipaddress", "json", "nt", "ntpath", "pathlib", "queue", "shlex"),
    *("string", "urllib", "zlib"),
}
"""Modules of the standard library that an answer may load; some of them only with some versions of Python."""


def modules_after(program: str, *arguments: object) -> set[str]:
    """The names of all modules that a program has loaded at its end."""
    code = f"import sys\n{program}\nprint(*sorted(sys.modules), file=sys.stderr)"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


def test_an_answer_loads_its_three_libraries_and_little_else(untouched_bundle: Path, drawn_photos: Path) -> None:
    """Each further module makes every cold `predict` slower."""
    photo = min(drawn_photos.rglob("*.jpg"))
    predict = "from dogvscat.cli.main import main; assert main(sys.argv[1:]) == 0"
    arguments = ("predict", photo, "--model", untouched_bundle)
    modules_after(predict, *arguments)  # the first use of a bundle checks it, with pydantic
    further = modules_after(predict, *arguments) - modules_after(LIBRARIES)
    ours = {name for name in further if name.partition(".")[0] == "dogvscat"}
    decoder = {name for name in ours if name.startswith("dogvscat.photos.decoding.")}
    assert ours - decoder == {*OURS, *(f"{room}.{file}" for room, files in OURS.items() for file in files.split())}
    top_level = {name.partition(".")[0] for name in further - ours}
    assert top_level - STANDARD == {"PIL"}
    assert {name for name in further if name.startswith("PIL.")} == {"PIL.features", "PIL._avif"}


def test_help_loads_no_library_of_an_answer() -> None:
    loaded = {name.partition(".")[0] for name in modules_after("from dogvscat.cli.main import main; main(['--help'])")}
    assert loaded & {"numpy", "onnxruntime", "PIL", "pydantic", "pydantic_core", "filelock"} == set()
