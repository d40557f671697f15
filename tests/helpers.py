"""What several test files share: types of fixtures, quick settings, and how to read, make and stop things.

Fixtures are in the conftest.py of their folder.
"""

import csv
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from signal import Signals
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from dogvscat.bundle.checksums import CHECKSUMS_FILE, compute_checksums
from dogvscat.config import NetworkConfig
from dogvscat.photos.drawing.sample import draw
from dogvscat.settings.toml import toml_value

Dogvscat = Callable[..., subprocess.CompletedProcess[str]]
"""`dogvscat(*arguments, **options)`: the command line in its own process; options as `subprocess.run` takes them."""

PredictJson = Callable[..., tuple[int, list[dict[str, Any]], str]]
"""`predict(*photos, **options)`: exit code, rows and stderr of `dogvscat predict --json`."""

LinearBundle = Callable[..., Path]
"""`linear_bundle(folder, unsure=(0.4, 0.6))`: publishes a bundle whose answers can be worked out by hand."""

LinearGraph = Callable[[np.ndarray], bytes]
"""`linear_graph(weights)`: an ONNX graph whose logit is the sum of these weights times pixels."""

EditCard = Callable[[dict[str, Any]], Any]
"""Changes the document of a card in place; what it returns does not matter."""

ChangeCard = Callable[[EditCard], None]
"""`change_card(lambda card: card.pop("bias"))`: changes the card of the fixture `bundle` on disk, with its checksum."""

SmallDisk = Callable[[int], Path]
"""`small_disk(65536)`: mounts a disk with room for this many bytes, or resizes it."""

Serve = Callable[..., Any]
"""`serve("--model", folder)`: a running server, of the class `Server` in tests/service/conftest.py."""

HoldRequest = Callable[..., Any]
"""`hold_request(server, body)`: a request whose head is admitted and whose body is not sent yet."""

PublishNetwork = Callable[[NetworkConfig, Any], Any]
"""`publish_network(config, network)`: the `Predictor` of a bundle with this Keras network."""

Color = tuple[int, int, int]
"""Red, green and blue, each in 0..255."""

# --- Quick settings


def plain_layers(*filters: int, units: int = 8) -> tuple[str, ...]:
    """The layers of a network like that of `classic`: a stage per number of filters, and a hidden layer."""
    return (*(f"conv {count} valid, relu, max pool" for count in filters), f"flatten, dense {units}, relu")


def residual_layers(stem: int, *filters: int, blocks: int = 1) -> tuple[str, ...]:
    """The layers of a network like that of `fast`: a stem, and a stage with residual blocks per number of filters."""
    ends = ", norm, relu" + (f", {blocks} x residual" if blocks else "")
    stages = (
        f"stage{number}: conv {count}{', max pool' if number > 1 else ''}{ends}"
        for number, count in enumerate(filters, start=1)
    )
    return (f"stem: conv {stem} stride 2, max pool, norm, relu", *stages, "global mean")


_QUICK_NETWORK = (f"network.layers={toml_value(plain_layers(8, 8))}", "network.dropout=0.5", "data.image_size=32")


def quick_flags(*settings: str) -> list[str]:
    """Options of `train` for a tiny network, and more settings: `quick_flags("training.epochs=6")`."""
    return ["--recipe=classic", *(f"--set={setting}" for setting in (*_QUICK_NETWORK, *settings))]


QUICK = quick_flags("training.epochs=2")
"""Options of `train` for a network that trains in a second; it learns nothing useful."""


def quick_base(*settings: str) -> str:
    """Recipe and table `[base]` of a study or search in TOML: the tiny network on one thread, and more settings.

    What belongs at the top of the file, such as the seeds, goes before it, and further tables go after it.
    """
    pairs = (setting.partition("=") for setting in (*_QUICK_NETWORK, "training.threads=1", *settings))
    lines = (f'"{name}" = {value}\n' for name, _, value in pairs)
    return f'recipe = "classic"\n\n[base]\n{"".join(lines)}\n'


PLAIN_NETWORK = NetworkConfig(layers=plain_layers(4, 6), dropout=0.5)
"""The smallest plain network with two blocks that is worth explaining."""

RESIDUAL_NETWORK = NetworkConfig(layers=residual_layers(4, 4, 8), initializer="he", flip_averaging=True)
"""The smallest residual network with two stages; flips are averaged, as in the bundled one."""

NOISE = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
"""Three images of noise, uint8 (3, 32, 32, 3)."""


def metrics_with(accuracy_low: float) -> dict[str, dict[str, dict[str, Any]]]:
    """Metrics of a card: an accuracy of 60% on 9 validation photos with this lower end; half show each class.

    The network is no better than guessing unless the lower end is above 0.5.
    """
    figure = {"value": 0.6, "low": accuracy_low, "high": 0.8, "n": 9, "method": "wilson"}
    return {"validation": {"accuracy": figure, "majority_baseline": figure | {"value": 0.5}}}


# --- Reading


def json_lines(text: str) -> list[Any]:
    """The documents of a text with one JSON document per line."""
    return [json.loads(line) for line in text.splitlines()]


def read_table(file: Path, errors: str = "strict") -> list[dict[str, str]]:
    """The rows of a CSV file, by column; `errors` as for `open`, for paths that are not UTF-8."""
    with file.open(encoding="utf-8", errors=errors, newline="") as table:
        return list(csv.DictReader(table))


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, by its path relative to it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- Bundles


def seal(bundle: Path) -> None:
    """Vouch for the files of a bundle as they are now, as somebody could who changed them on purpose."""
    files = {name: data for name, data in read_files(bundle).items() if not name.startswith(CHECKSUMS_FILE)}
    (bundle / CHECKSUMS_FILE).write_bytes(compute_checksums(files).serialize())


# --- Making photos


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file of this kind; options as Pillow takes them."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain_png(color: Color | str) -> bytes:
    """A PNG of one color."""
    return encoded(Image.new("RGB", (40, 30), color))


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG: length, name, data, checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def black_png(side: int) -> bytes:
    """A whole, valid black picture of few bytes: of a side of 20,000, 50 MB of pixels, which would be 1.2 GB of RGB."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side // 8 + 1)) for _ in range(side)) + packer.flush()  # 1 bit per pixel
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def draw_photos(folder: Path, seeds: Iterable[int], image_size: int) -> Path:
    """Fill a new folder with one drawn cat and one drawn dog per seed, `cat/0.png` and so on; returns the folder."""
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for seed in seeds:
            draw(kind, seed, image_size).save(folder / kind / f"{seed}.png")
    return folder


def draw_easy(kind: str, seed: int, size: int) -> Image.Image:
    """A picture that a tiny network learns to classify: a drawn cat in red light, a drawn dog in blue light, or, for
    `neither`, coarse noise."""
    if kind == "neither":
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(noise).resize((size, size))
    animal, light = (
        (draw("cat", seed, size), (230, 40, 30)) if kind == "cat" else (draw("dog", seed, size), (30, 60, 230))
    )
    return Image.blend(animal, Image.new("RGB", (size, size), light), 0.6)


# --- Stopping commands


def run_until(
    pattern: str, action: Callable[[subprocess.Popen[str]], object], *arguments: object
) -> subprocess.CompletedProcess[str]:
    """Run `dogvscat` and call `action` with its process at the first line on stderr that starts with the pattern.

    The command then goes on as it can; returned is how it ended.
    """
    command = [sys.executable, "-m", "dogvscat", *map(str, arguments)]
    lines: list[str] = []
    called = False
    with (
        tempfile.TemporaryFile("w+") as stdout,  # a pipe that nobody reads could fill up
        subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if not called and re.match(pattern, line):
                called = True
                action(process)
        process.wait()
        stdout.seek(0)
        return subprocess.CompletedProcess(command, process.returncode, stdout.read(), "".join(lines))


def signal_at(pattern: str, number: Signals, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `dogvscat` and send it a signal at the first line on stderr that starts with the pattern."""
    return run_until(pattern, lambda process: process.send_signal(number), *arguments)


# --- Sharing between the workers of pytest-xdist


def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` writes once per test run. The workers of pytest-xdist share it: the first one makes it.

    `make` is given the path of a folder that does not exist yet.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own below that of the run
    folder, finished = root / name, root / f"{name}.finished"
    with FileLock(root / f"{name}.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed halfway
            make(folder)
            finished.touch()
    return folder


def shift_golden(card: dict[str, Any], number: int, difference: float) -> None:
    """Change the recorded probabilities of a golden picture by so much, further from one half: its label stays."""
    picture = card["golden"][number]
    dog = picture["probabilities"]["dog"]
    dog += difference if dog > 0.5 else -difference
    picture["probabilities"] = {"cat": 1.0 - dog, "dog": dog}
