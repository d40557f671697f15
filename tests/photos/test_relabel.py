"""The table of corrections: which tables are refused, and that only the training split is corrected."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dogvscat.errors import DataError
from dogvscat.labels import LEAVE_OUT
from dogvscat.photos.manifest import Manifest, ManifestRow, load_manifest, save_manifest
from dogvscat.photos.relabel import Correction, read_relabeling, relabel, write_corrections

NAMES = ("cat", "dog")
HEADER = "path,sha256,filed_as,suggestion,probability_of_suggestion\n"


def sha(number: int) -> str:
    return f"{number:064x}"


def row(number: int, label: str, split: str, issues: str = "") -> ManifestRow:
    path = f"{label}/{number}.jpg"
    return ManifestRow(path, label, sha(number), "0" * 64, "9x9", "RGB", f"g{number}", split, issues)


@pytest.fixture
def manifest() -> Manifest:
    """Three of each class to train on, one to validate, one to test, and a cat that is left out."""
    rows = [row(number, "cat", "train") for number in (1, 2)]
    rows += [row(3, "cat", "train", "tiny"), row(4, "cat", "validation"), row(5, "cat", "test"), row(6, "cat", "")]
    rows += [row(number, "dog", "train") for number in (11, 12, 13)]
    rows += [row(14, "dog", "validation"), row(15, "dog", "test")]
    return Manifest(NAMES, tuple(rows))


def table(folder: Path, suggestions: Sequence[tuple[int, str]]) -> Path:
    lines = [f"any/{number}.jpg,{sha(number)},cat,{suggestion},\n" for number, suggestion in suggestions]
    (folder / "relabel.csv").write_text(HEADER + "".join(lines))
    return folder / "relabel.csv"


def test_a_written_table_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "relabel.csv"
    corrections = [
        Correction("cat/two\nlines,\udcff.jpg", sha(1), "cat", "dog", "0.9812"),
        Correction("dog/a.jpg", sha(2), "dog", LEAVE_OUT, ""),
    ]
    write_corrections(path, corrections)
    assert path.read_bytes().startswith(HEADER.encode())
    read = read_relabeling(path, NAMES)
    assert read.suggestions == {sha(1): "dog", sha(2): "leave_out"}
    write_corrections(path, corrections[:1])
    assert read_relabeling(path, NAMES).digest != read.digest


def test_a_table_saved_by_a_spreadsheet_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "relabel.csv"
    text = f"{HEADER}a.jpg,{sha(1).upper()},cat, dog ,0.9\n\na copy.jpg,{sha(1)},cat,dog,\n".replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_relabeling(path, NAMES).suggestions == {sha(1): "dog"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "sep={}\r\n"])
def test_a_table_saved_by_a_spreadsheet_of_another_country(
    tmp_path: Path, encoding: str, delimiter: str, start: str
) -> None:
    rows = [
        HEADER.strip().split(","),
        ["a;b, c\u00e9.jpg", sha(1), "cat", "dog", "0,98"],
        [""] * 5,
        ["d.jpg", sha(2), "dog", "leave_out", ""],
    ]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    path = tmp_path / "relabel.csv"
    path.write_bytes((start.format(delimiter) + buffer.getvalue()).encode(encoding))
    assert read_relabeling(path, NAMES).suggestions == {sha(1): "dog", sha(2): "leave_out"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"relabel\.csv, line 1: expected the columns path,sha256,.*, received an empty file"),
        ("path;sha256;filed_as\n", r"relabel\.csv, line 1: expected the columns .*, received path;sha256;filed_as"),
        (f"{HEADER}a,{sha(1)},cat,dog\n", r"line 2: expected 5 cells, received 4"),
        (f"{HEADER}a,{sha(1)[1:]},cat,dog,\n", r"line 2: expected a sha256 of 64 hexadecimal digits, received '0+1'"),
        (f"{HEADER}a,{sha(1)},cat,cat,\nb,{sha(2)},cat,fox,\n", r"line 3: .* one of cat, dog, leave_out .* 'fox'"),
        (f'{HEADER}"a\nb",{sha(1)},cat,dog,\nc,x,cat,dog,\n', r"line 4: expected a sha256"),
        (
            f"{HEADER}a,{sha(1)},cat,dog,\nb,{sha(1)},cat,leave_out,\n",
            r"line 3: the suggestion for b is leave_out, but a line above suggests dog for",
        ),
        (f'{HEADER}"a,{sha(1)},cat,dog,\n', r"line 2: unexpected end of data"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "relabel.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_relabeling(tmp_path / "relabel.csv", NAMES)
    assert "audit PHOTOS --labels" in str(caught.value.hint)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"relabel\.csv cannot be read: No such file"):
        read_relabeling(tmp_path / "relabel.csv", NAMES)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_relabeling(tmp_path, NAMES)


def test_only_training_photos_change(tmp_path: Path, manifest: Manifest) -> None:
    everything = [(number, "dog") for number in (1, 4, 5, 6)] + [(3, LEAVE_OUT), (11, "dog"), (12, "cat"), (99, "cat")]
    done = relabel(manifest, read_relabeling(table(tmp_path, everything), NAMES))
    assert (done.num_relabeled, done.num_left_out, done.num_held_out, done.num_unknown) == (2, 1, 2, 1)
    expected = {
        1: {"label": "dog", "issues": "relabelled"},
        3: {"split": "", "issues": "tiny;left_out_by_relabel"},
        12: {"label": "cat", "issues": "relabelled"},
    }
    assert done.manifest.rows == tuple(replace(row, **expected.get(int(row.sha256, 16), {})) for row in manifest.rows)
    assert done.manifest.labels(done.manifest.of_split("train")).tolist() == [1, 0, 1, 0, 1]


def test_corrections_do_not_change_the_digest(tmp_path: Path, manifest: Manifest) -> None:
    corrections = table(tmp_path, [(1, "dog"), (11, "cat"), (12, LEAVE_OUT)])
    done = relabel(manifest, read_relabeling(corrections, NAMES)).manifest
    assert done.digest == manifest.digest
    save_manifest(tmp_path / "manifest.csv", done)
    loaded = load_manifest(tmp_path / "manifest.csv")
    assert loaded == done
    assert loaded.digest == manifest.digest
    assert [loaded.filed_as(row) for row in loaded.rows] == [row.label for row in manifest.rows]
    filed_otherwise = replace(manifest.rows[0], label="dog")
    assert replace(manifest, rows=(filed_otherwise, *manifest.rows[1:])).digest != manifest.digest


@pytest.mark.parametrize("suggestion", ["dog", LEAVE_OUT])
def test_a_class_without_training_photos_is_refused(tmp_path: Path, manifest: Manifest, suggestion: str) -> None:
    relabeling = read_relabeling(table(tmp_path, [(number, suggestion) for number in (1, 2, 3)]), NAMES)
    with pytest.raises(DataError, match="the train split needs photos of both classes"):
        relabel(manifest, relabeling)
