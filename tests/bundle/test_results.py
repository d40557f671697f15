"""Files of answers: cut off anywhere they go on to the same bytes, and what is not ours is left alone."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from dogvscat.bundle.predict.prediction import Failure, Prediction
from dogvscat.bundle.predict.results import ResultsFile
from dogvscat.errors import UsageError
from dogvscat.labels import FAILED
from dogvscat.text import unescape_cell
from tests.helpers import Dogvscat, LinearBundle, plain_png

pytestmark = pytest.mark.slow

MODEL = "best@0123456789ab"
NAMES = [
    "plain.jpg",
    'a "quoted".jpg',
    "two\nlines\r.jpg",
    "comma, and ümläut.jpg",
    "not utf-8 \udcff.jpg",
    "-",
    "=HYPERLINK(1).jpg",
    "\x1b[31m\u202egpj.jpg",
    "'quoted'.jpg",
    "\\x1b[31m.jpg",
    "last.jpg",
]
ANSWERS: list[Prediction | Failure] = [
    Failure(name, "unreadable", "is damaged: not\na picture", "hint")
    if number == 3
    else Prediction(
        name,
        "dog" if number % 2 else "unsure",
        {"cat": 1 - number / 11, "dog": number / 11},
        number / 20,
        None if number % 2 else "close",
    )
    for number, name in enumerate(NAMES)
]
ENDINGS = pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])


def write(out: Path, answers: Iterable[Prediction | Failure] = ANSWERS, model: str = MODEL) -> ResultsFile:
    """As `predict` does: pass over what is there, write the rest."""
    by_path = {answer.path: answer for answer in answers}
    with ResultsFile(out, ("cat", "dog"), model) as results:
        for path in results.resume(list(by_path)):
            results.write(by_path[path])
        results.finish()
    return results


def test_rows_say_what_was_answered(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "parquet"):
        write(tmp_path / f"results.{ending}")
    table = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_bytes().decode(), newline="")))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_bytes().splitlines()]
    from pyarrow import parquet

    cells = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    assert [row["path"] for row in lines] == [row["path"] for row in cells]
    assert [unescape_cell(row["path"]) for row in table] == [row["path"] for row in lines]
    assert [unescape_cell(row["path"]) for row in table] == [name.replace("\udcff", "\\xff") for name in NAMES]
    for row, line, cell, answer in zip(table, lines, cells, ANSWERS, strict=True):
        assert row["model"] == line["model"] == cell["model"] == MODEL
        if isinstance(answer, Failure):
            assert (row["label"], cell["label"], line.get("label")) == ("", None, None)
            assert (row["error"], row["message"]) == (answer.code, answer.message) == (cell["error"], cell["message"])
            assert line["error"] == {"code": answer.code, "message": answer.message, "hint": answer.hint}
        else:
            assert row["label"] == line["label"] == cell["label"] == answer.label
            assert line["reason"] == cell["reason"] == answer.reason
            assert row["reason"] == (answer.reason or "")
            assert float(row["probability_dog"]) == cell["probability_dog"] == answer.probabilities["dog"]
            assert line["probabilities"] == answer.probabilities
            assert float(row["neither"]) == line["neither"] == cell["neither"] == answer.neither
    assert not list(tmp_path.glob("*unfinished*"))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_cut_off_anywhere_goes_on_to_the_same_bytes(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"results.{ending}"
    write(out)
    whole = out.read_bytes()
    kept = set()
    for length in range(len(whole) + 1):
        out.write_bytes(whole[:length])
        kept.add(write(out).num_existing)
        assert out.read_bytes() == whole, length
    assert kept == set(range(len(NAMES) + 1))


def test_a_parquet_that_was_not_finished_goes_on(tmp_path: Path) -> None:
    out, whole = tmp_path / "results.parquet", tmp_path / "whole.parquet"
    write(whole)
    with ResultsFile(out, ("cat", "dog"), MODEL) as results:
        for path in list(results.resume(NAMES))[:4]:
            results.write(next(answer for answer in ANSWERS if answer.path == path))
    assert not out.exists()
    assert write(out).num_existing == 4
    assert out.read_bytes() == whole.read_bytes()


@ENDINGS
def test_photos_that_were_added_are_answered_and_counted(tmp_path: Path, ending: str) -> None:
    out, whole = tmp_path / f"results.{ending}", tmp_path / f"whole.{ending}"
    write(out, ANSWERS[:3])
    results = write(out)
    write(whole)
    assert results.num_existing == 3
    assert results.labels == {"unsure": 6, "dog": 4, FAILED: 1}
    assert out.read_bytes() == whole.read_bytes()


class Folder:
    """Files whose content is their answer, and a results file about them."""

    def __init__(self, folder: Path, ending: str) -> None:
        self.folder, self.out = folder / "photos", folder / f"results.{ending}"
        self.folder.mkdir()
        self.answers: dict[str, float] = {}
        self._time = 1_000_000_000

    def put(self, name: str) -> None:
        """A new file, or another one under the same name and of the same size."""
        self._time += 1
        self.answers[name] = self._time % 1000 / 1000
        (self.folder / name).write_text(f"{self.answers[name]:.3f}")
        os.utime(self.folder / name, (self._time, self._time))

    def predict(self, killed_after: int | None = None) -> list[str]:
        """The names of the photos that were predicted; the command may be killed after some of them."""
        predicted: list[str] = []
        results = ResultsFile(self.out, ("cat", "dog"), MODEL).__enter__()
        for path in results.resume([str(self.folder / name) for name in sorted(self.answers)]):
            if len(predicted) == killed_after:
                for file in (results._file, results._inserted):
                    if file:
                        file.close()
                return predicted
            predicted.append(Path(path).name)
            dog = float(Path(path).read_text())
            results.write(Prediction(path, "dog", {"cat": 1 - dog, "dog": dog}))
        results.finish()
        results.__exit__(None, None, None)
        return predicted

    def rows(self) -> dict[str, float]:
        """The answers in the file, in its order."""
        with self.out.open(newline="") as file:
            return {Path(row["path"]).name: float(row["probability_dog"]) for row in csv.DictReader(file)}


@ENDINGS
def test_new_and_changed_photos_are_predicted_wherever_they_sort(tmp_path: Path, ending: str) -> None:
    photos = Folder(tmp_path, ending)
    for name in ("b", "d", "f"):
        photos.put(name)
    assert photos.predict() == ["b", "d", "f"]
    for name in ("a", "c", "c2", "g"):
        photos.put(name)
    assert photos.predict() == ["a", "c", "c2", "g"]
    photos.put("d")
    assert photos.predict() == ["d"]
    assert photos.predict() == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["photos", photos.out.name]
    if ending == "csv":
        assert list(photos.rows().items()) == sorted(photos.answers.items())


@pytest.mark.parametrize("seed", range(30))
def test_whatever_changes_and_wherever_it_is_killed_each_photo_is_predicted_once(tmp_path: Path, seed: int) -> None:
    rng, photos = random.Random(seed), Folder(tmp_path, "csv")
    answered: dict[str, float] = {}
    for _ in range(6):
        for _ in range(rng.randrange(4)):
            photos.put(f"{rng.randrange(20):02}")
        stale = {name for name, answer in photos.answers.items() if answered.get(name) != answer}
        killed_after = rng.choice([None, 0, 1, 2])
        predicted = photos.predict(killed_after)
        assert set(predicted) <= stale
        assert (
            len(set(predicted))
            == len(predicted)
            == min(len(stale), len(stale) if killed_after is None else killed_after)
        )
        answered |= {name: photos.answers[name] for name in predicted}
    photos.predict()
    assert list(photos.rows().items()) == sorted(photos.answers.items())


def test_a_photo_that_was_missing_is_predicted_once_it_is_there(
    tmp_path: Path, untouched_bundle: Path, drawn_photos: Path, dogvscat: Dogvscat
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "results.csv"
    first, second, *_ = sorted(drawn_photos.rglob("*.jpg"))
    folder.mkdir()
    (folder / "b.jpg").write_bytes(first.read_bytes())
    command = ("predict", folder / "b.jpg", folder / "c.jpg", "--out", out, "--model", untouched_bundle)
    assert dogvscat(*command).returncode == 3
    (folder / "c.jpg").write_bytes(second.read_bytes())
    repeated = dogvscat(*command)
    assert repeated.returncode == 0
    assert (
        "already has the answers for 1 photo.\n1 photo changed since then and will be predicted again."
        in repeated.stderr
    )
    (folder / "a.jpg").write_bytes(second.read_bytes())
    added = dogvscat("predict", folder, "--out", out, "--model", untouched_bundle)
    assert added.returncode == 0
    assert "already has the answers for 2 photos.\n" in added.stderr
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["path"]).name for row in rows] == ["a.jpg", "b.jpg", "c.jpg"]
    assert rows[0]["probability_dog"] == rows[2]["probability_dog"]


@ENDINGS
def test_what_does_not_belong_together_is_refused(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"results.{ending}"
    write(out)
    before = out.read_bytes()
    with pytest.raises(UsageError, match=r"holds predictions of another model \(best@0123456789ab, the model now is"):
        write(out, model="f" * 64)
    with pytest.raises(UsageError, match=r"started with different photos: photo 1 was plain\.jpg, now it is last\.jpg"):
        write(out, ANSWERS[::-1])
    with pytest.raises(UsageError, match=r"photo 3 was two\nlines\r\.jpg, now there is none") as caught:
        write(out, ANSWERS[:2])
    assert str(caught.value).startswith(f"{out} ")  # a file that is still there, and that can be removed
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    assert out.read_bytes() == before


@ENDINGS
@pytest.mark.parametrize("content", [b"my thesis\n" * 40, b'{"path": "x"}\n' * 40, b'a,"b\n' * 400_000])
def test_anything_else_is_left_as_it_is(tmp_path: Path, ending: str, content: bytes) -> None:
    out = tmp_path / f"results.{ending}"
    out.write_bytes(content)
    with pytest.raises(UsageError, match=r"holds a row|starts with b|is not a table of results") as caught:
        write(out)
    assert caught.value.hint == "Choose another --out, or remove the file to start again."
    assert out.read_bytes() == content


def test_two_processes_cannot_write_one_file(tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    with ResultsFile(out, ("cat", "dog"), MODEL), pytest.raises(UsageError, match="another process is writing"):
        write(out)


def test_endings_and_folders(tmp_path: Path, dogvscat: Dogvscat) -> None:
    with pytest.raises(UsageError, match=r"should end with \.csv, \.jsonl or \.parquet, received .*results\.txt"):
        write(tmp_path / "results.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder, expected a file"):
        write(tmp_path / "folder.csv")
    done = dogvscat("predict", "x.jpg", "--out", tmp_path / "results.jsonl", "--json")
    assert done.returncode == 2
    assert "hint: To write JSON lines to a file: --out results.jsonl" in done.stderr


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_prediction_that_is_killed_goes_on(
    tmp_path: Path, untouched_bundle: Path, drawn_photos: Path, dogvscat: Dogvscat, ending: str
) -> None:
    photos = [str(photo) for photo in sorted(drawn_photos.rglob("*.jpg"))] * 30
    photos[100] = "nothing.jpg"
    paths = "".join(f"{photo}\n" for photo in photos)
    out, whole = tmp_path / f"results.{ending}", tmp_path / f"whole.{ending}"
    arguments = ("predict", "--model", str(untouched_bundle), "-", "--out")
    rows = out if ending == "csv" else out.with_name(f"{out.name}.unfinished.jsonl")
    for share in (0.4, 0.8):
        command = [sys.executable, "-m", "dogvscat", *arguments, str(out)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdin is not None
            process.stdin.write(paths[: int(share * len(paths))])
            process.stdin.flush()  # now it waits for more
            _until_larger(rows, share * 20_000)
            os.kill(process.pid, signal.SIGKILL)
    done = dogvscat(*arguments, out, input=paths)
    assert done.returncode == 3
    assert "already has the answers for" in done.stderr
    assert dogvscat(*arguments, whole, input=paths).returncode == 3
    assert out.read_bytes() == whole.read_bytes()
    assert f"{len(photos):,} rows" in done.stderr
    assert "1 error" in done.stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_answers_of_a_class_named_error_are_no_failures(
    tmp_path: Path, linear_bundle: LinearBundle, dogvscat: Dogvscat, ending: str
) -> None:
    model = linear_bundle(tmp_path / "model", class_names=("error", "ok"))
    (tmp_path / "photos").mkdir()
    for name, color in (("a", "blue"), ("b", "blue"), ("c", "red")):
        (tmp_path / "photos" / f"{name}.png").write_bytes(plain_png(color))
    command = ("predict", tmp_path / "photos", "--model", model)
    shown = dogvscat(*command)
    assert (shown.returncode, [line.split()[0] for line in shown.stdout.splitlines()]) == (0, ["error", "error", "ok"])
    out = tmp_path / f"results.{ending}"
    for _ in range(2):  # the second time from the rows
        written = dogvscat(*command, "--out", out)
        assert written.returncode == 0, written.stderr
        assert "3 rows: 2 error, 1 ok." in written.stderr
    (tmp_path / "photos" / "d.png").write_bytes(b"no picture")
    for _ in range(2):
        written = dogvscat(*command, "--out", out)
        assert written.returncode == 3
        assert "4 rows: 2 error, 1 ok, 1 error (no answer)." in written.stderr
        assert "1 of 4 photos could not be used" in written.stderr
    explained = dogvscat("explain", tmp_path / "photos" / "a.png", "--model", model, "--out", tmp_path / "why")
    assert explained.returncode == 0, explained.stderr


def _until_larger(file: Path, num_bytes: float, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not file.exists() or file.stat().st_size <= num_bytes:
        assert time.monotonic() < deadline, f"{file} never came to {num_bytes} bytes"
