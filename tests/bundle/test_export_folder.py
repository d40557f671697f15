"""The folder of an export: what it says, when it is replaced, and that it is there as a whole or not at all."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from dogvscat.bundle.export.folder import refuse_out, write_export
from dogvscat.bundle.export.formats import FORMATS, Conversion, convert_to_onnx, convert_to_openvino, get_format
from dogvscat.bundle.export.parity import parity_images
from dogvscat.bundle.folder import load_bundle
from dogvscat.errors import ModelError, UsageError, WriteError
from dogvscat.judging.decision import Logits
from tests.helpers import LinearBundle, SmallDisk

pytestmark = pytest.mark.slow


@pytest.fixture
def exported(untouched_bundle: Path, tmp_path: Path) -> Path:
    """An export to ONNX."""
    bundle = load_bundle(untouched_bundle)
    pictures = parity_images(bundle, None)
    write_export(tmp_path / "out", bundle, "onnx", pictures, convert_to_onnx(bundle, pictures.pixels))
    return tmp_path / "out"


def read_about(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "preprocessing.json").read_text()))


def test_the_description_says_what_the_card_says(exported: Path, untouched_bundle: Path) -> None:
    about, card = read_about(exported), load_bundle(untouched_bundle).card
    assert about["class_names"] == list(card.class_names)
    assert about["positive_class"] == "dog"
    assert about["input"]["shape"] == [None, 32, 32, 3]
    assert (about["input"]["name"], about["input"]["dtype"]) == ("pixels", "uint8")
    assert about["decision"]["threshold"] == card.threshold == 0.5
    assert about["decision"]["neither_limit"] is None
    assert list(about["outputs"]) == ["logit"]
    assert about["parity"]["largest_probability_difference"] == 0.0
    assert about["parity"]["photographs"] == 0
    for golden in about["golden"]:
        assert (exported / golden["file"]).read_bytes() == (untouched_bundle / golden["file"]).read_bytes()
    readme = (exported / "README.md").read_text()
    assert "uint8 (N, 32, 32, 3), RGB" in readme
    assert "58 other drawings" in readme


def test_every_file_is_listed_with_its_digest(exported: Path) -> None:
    listed = read_about(exported)["files"]
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert names == {*listed, "preprocessing.json"}
    for name, digest in listed.items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest


def test_openvino_reads_its_export_as_the_bundle_answers(linear_bundle: LinearBundle, tmp_path: Path) -> None:
    bundle = load_bundle(linear_bundle(tmp_path / "bundle"))
    pictures = parity_images(bundle, None)
    conversion = convert_to_openvino(bundle, pictures.pixels)
    write_export(tmp_path / "out", bundle, "openvino", pictures, conversion)
    model = openvino.Core().compile_model(tmp_path / "out/model.xml", "CPU")
    red = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert model({"pixels": red})["logit"].ravel() == pytest.approx([8.0] * 3, abs=0.1)  # as conftest.py says


def test_an_export_is_replaced_while_it_is_as_it_was_written(exported: Path) -> None:
    refuse_out(exported)
    (exported / "golden/1.png").unlink()
    refuse_out(exported)  # nothing of anybody's would be lost
    (exported / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt was added or changed after the export"):
        refuse_out(exported)
    (exported / "notes.txt").unlink()
    (exported / "README.md").write_text("my own words")
    with pytest.raises(UsageError, match=r"README\.md was added or changed"):
        refuse_out(exported)


def test_what_is_not_an_export_is_not_overwritten(tmp_path: Path, untouched_bundle: Path) -> None:
    refuse_out(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    refuse_out(tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, message in {"file": "is a file, expected a new folder", "link": "is a file, expected"}.items():
        with pytest.raises(UsageError, match=message):
            refuse_out(tmp_path / name)
    with pytest.raises(UsageError, match="is not an export of dogvscat and is not overwritten"):
        refuse_out(untouched_bundle)
    with pytest.raises(WriteError):
        refuse_out(tmp_path / "file" / "below")


def test_nothing_is_written_without_agreement(untouched_bundle: Path, tmp_path: Path) -> None:
    bundle = load_bundle(untouched_bundle)
    pictures = parity_images(bundle, None)
    good = convert_to_onnx(bundle, pictures.pixels)
    bad = replace(good, logits=Logits(good.logits.positive + 0.5))
    with pytest.raises(ModelError, match="nothing was written"):
        write_export(tmp_path / "out", bundle, "onnx", pictures, bad)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing(untouched_bundle: Path, small_disk: SmallDisk) -> None:
    bundle = load_bundle(untouched_bundle)
    pictures = parity_images(bundle, None)
    conversion = convert_to_onnx(bundle, pictures.pixels)
    disk = small_disk(65536)
    big = Conversion({**conversion.files, "more": b"." * 100_000}, "model.onnx", conversion.logits, "nobody")
    with pytest.raises(WriteError, match="could not write"):
        write_export(disk / "out", bundle, "onnx", pictures, big)
    assert list(disk.iterdir()) == []


def test_a_killed_export_leaves_all_or_nothing(untouched_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dogvscat", "export", str(untouched_bundle), "--format", "onnx", "--out"]
    with subprocess.Popen(
        [*command, str(tmp_path / "out")], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if line.startswith(b"Writing onnx"))
        deadline = time.monotonic() + 120
        while not os.listdir(tmp_path) and process.poll() is None:  # noqa: PTH208 - until it starts to write
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
    visible = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert visible in ([], [tmp_path / "out"])
    if visible:
        test_every_file_is_listed_with_its_digest(tmp_path / "out")
    assert os.listdir(tmp_path)  # noqa: PTH208 - it had started


@pytest.mark.parametrize(("name", "hint"), [("tflite", "litert"), ("SavedModel", "savedmodel"), ("pickle", None)])
def test_an_unknown_format_is_reported_with_the_most_similar(name: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match=f"there is no format '{name}', expected one of onnx, openvino, ") as caught:
        get_format(name)
    assert caught.value.hint == (f"Did you mean '{hint}'?" if hint else None)
    assert get_format("onnx") is FORMATS["onnx"]
