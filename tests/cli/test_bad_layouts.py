"""Folders, archives, settings and runs that cannot be used: the command says what is wrong and changes nothing."""

import io
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from dogvscat.cli.main import main
from dogvscat.photos.drawing.sample import draw
from tests.helpers import encoded, read_files

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[int, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Exit code and stderr of a command, run in an empty folder of this process: an error nobody named would show."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments: object) -> tuple[int, str]:
        code = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        assert not code or not written.out
        return code, written.err

    return run


def jpeg(kind: str, seed: int) -> bytes:
    return encoded(draw(kind, seed, 64), "JPEG")  # type: ignore[arg-type]


CATS = {f"cat/{number}.jpg": jpeg("cat", number) for number in range(6)}
DOGS = {f"dog/{number}.jpg": jpeg("dog", number) for number in range(6)}


def folder_with(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def below(name: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {name + path[path.index("/") :]: data for path, data in files.items()}


BAD_FOLDERS: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, "holds no photos"),
    "other files": ({"cat/a.txt": b"a", "dog/b.doc": b"b"}, "holds no photos"),
    "one class folder": (CATS, "has one class folder, expected two (cat: 6 photos)"),
    "one class empty": ({**CATS, "dog/readme.txt": b""}, "the class folder dog in"),
    "three classes": (
        {**CATS, **DOGS, **below("owl", CATS)},
        "has 3 class folders, expected two (cat: 6 photos; dog: 6 photos; owl: 6 photos)",
    ),
    "one class twice": ({**CATS, **below("Cats", CATS)}, "mean the same class (Cats: 6 photos; cat: 6 photos)"),
    "no class folders": ({path.replace("/", "_"): data for path, data in CATS.items()}, "are not in class folders"),
    "an archive within": ({"train.zip": b"PK\x03\x04"}, "holds no photos"),
    "archives within": (
        {"cats.zip": b"PK\x03\x04", "dogs.zip": b"PK\x03\x04"},
        "(cats.zip, dogs.zip) that hold labeled",
    ),
    "cats inside dogs": ({**CATS, **DOGS, **below("dog/Katzen", CATS)}, "dog/Katzen (6 photos), inside the folder of"),
    "splits of one class": (
        {**below("cat/train", CATS), **below("cat/test", CATS), **below("dog/train", DOGS)},
        "do not have all photos in the same splits (cat: 6 test, 6 train; dog: 6 train)",
    ),
    "other photos next to a collection": (
        {**below("pets/cat", CATS), **below("pets/dog", DOGS), **below("screenshots", CATS)},
        "are the classes (pets: 12 photos, cat and dog; screenshots: 6 photos, no class)",
    ),
    "two readings": (
        {
            f"{outer}/{path}": data
            for outer in ("indoor", "outdoor")
            for path, data in (below("owl", CATS) | below("fox", DOGS)).items()
        },
        "it is not clear whether the classes in",
    ),
    "a reserved name": ({**CATS, **below("Unsure", DOGS)}, "has a class named Unsure, but unsure is the answer where"),
}


@pytest.mark.parametrize(("files", "message"), BAD_FOLDERS.values(), ids=BAD_FOLDERS.keys())
def test_a_folder_that_is_not_two_classes_is_refused(
    cli: Cli, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    folder_with(photos, files)
    for command in ("train", "audit"):
        code, errors = cli(command, photos, "--out", "out")
        assert code == 3
        assert errors.startswith("error: ")
        assert message in errors
        assert "hint: " in errors
    assert read_files(photos) == files
    assert not Path("out").exists()


UNUSABLE: dict[str, tuple[dict[str, bytes], str]] = {
    "all bad": ({f"{name}/{n}.jpg": b"text" for name in ("cat", "dog") for n in range(5)}, "10 of 10 photos cannot"),
    "mostly bad": ({**CATS, **dict.fromkeys(below("dog", DOGS), b"text"), "dog/x.jpg": b""}, "7 of 13 photos cannot"),
    "too few": ({**CATS, "dog/1.jpg": DOGS["dog/1.jpg"]}, "at least 2 usable photos of each class are needed, found 6"),
    "one picture": (
        {**dict.fromkeys(CATS, CATS["cat/0.jpg"]), **dict.fromkeys(DOGS, DOGS["dog/0.jpg"])},
        "needs photos of both classes",
    ),
    "the same under both names": ({**CATS, **below("dog", CATS)}, "at least 2 usable photos of each class are needed"),
}


@pytest.mark.parametrize(("files", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_photos_that_are_not_enough_to_train_on_are_refused(
    cli: Cli, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    photos = folder_with(tmp_path / "photos", files)
    code, errors = cli("train", photos, "--out", "run")
    assert code == 3
    assert message in errors
    assert "hint: " in errors
    assert not Path("run").exists()
    code, _ = cli("audit", photos, "--out", "audit")  # which still says what is wrong with each
    assert code == 0
    assert Path("audit/issues.csv").is_file()
    assert read_files(photos) == files


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def lying(data: bytes) -> bytes:
    """The archive with its directory calling the first member one byte large, as a bomb that hides its size has it."""
    start = data.index(b"PK\x01\x02")
    return data[: start + 24] + struct.pack("<I", 1) + data[start + 28 :]


def blank_bitmap() -> bytes:
    return encoded(Image.new("RGB", (6000, 6000)), "BMP")


def bad_archives() -> Iterator[tuple[str, bytes, str]]:
    good = {**CATS, **DOGS}
    bomb = zipped({**good, "cat/bomb.bmp": blank_bitmap()}, zipfile.ZIP_DEFLATED)
    yield "outside", zipped({**good, "../../outside.jpg": CATS["cat/1.jpg"]}), "not a plain relative path"
    yield "absolute", zipped({**good, "/tmp/outside.jpg": CATS["cat/1.jpg"]}), "not a plain relative path"
    yield "bomb", bomb, "a zip bomb"
    yield "truncated", zipped(good)[:-300], "is not a complete zip archive"
    yield "half", zipped(good)[: len(zipped(good)) // 2], "is not a complete zip archive"
    yield "empty", b"", "is not a complete zip archive"
    yield "text", b"this is no archive" * 9, "is not a complete zip archive"
    yield "one class", zipped(CATS), "has one class folder, expected two"


@pytest.mark.parametrize(("data", "message"), [pytest.param(*rest, id=name) for name, *rest in bad_archives()])
def test_archives_that_are_damaged_or_hostile_are_refused(cli: Cli, tmp_path: Path, data: bytes, message: str) -> None:
    archive = tmp_path / "photos.zip"
    archive.write_bytes(data)
    for command in ("train", "audit"):
        code, errors = cli(command, archive, "--out", "out")
        assert code == 3
        assert message in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "photos.zip"]  # nothing was unpacked anywhere
    assert not list(Path.cwd().iterdir())
    assert archive.read_bytes() == data


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_unpacks(cli: Cli, tmp_path: Path) -> None:
    bomb = zipped({"cat/bomb.bmp": blank_bitmap()}, zipfile.ZIP_DEFLATED)
    archive = tmp_path / "photos.zip"
    archive.write_bytes(lying(bomb))
    with zipfile.ZipFile(archive, "a") as appended:
        for name, data in {**CATS, **DOGS}.items():
            appended.writestr(name, data)
    code, errors = cli("audit", archive)
    assert code == 3
    assert "times its" in errors
    assert "a zip bomb" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("train {missing}", 3, "error: cannot open {missing}: No such file or directory"),
        ("audit {missing}", 3, "error: cannot open {missing}: No such file or directory"),
        ("train {file}", 3, "photo.jpg is a single file, expected a folder or a zip archive of photos"),
        ("train {photos} --set training.epoch=3", 2, "Did you mean 'training.epochs'?"),
        ("train {photos} --set trainin.epochs=3", 2, "there is no setting 'trainin'\nhint: Did you mean 'training'?"),
        ("train {photos} --set epochs=3", 2, "expected --set section.key=value, received 'epochs=3'"),
        ("train {photos} --set training.epochs=0", 2, "training.epochs: expected at least 1"),
        ("train {photos} --set training.epochs=many", 2, "training.epochs: expected a whole number"),
        ("train {photos} --set training.learning_rate=nan", 2, "training.learning_rate: expected "),
        ("train {photos} --set training.optimizer=adamw", 2, "training.optimizer: expected 'adam', 'sgd' or 'muon'"),
        ("train {photos} --set network.layers=conv", 2, 'of network.layers: "conv": expected a number of filters'),
        ("train {photos} --set network.filters=[8]", 2, "'network.filters' any more\nhint: Write \"conv 64\""),
        ("train {photos} --recipe clasic", 2, "there is no recipe 'clasic'\nhint: Recipes: best, classic, fast"),
        ("train {photos} --recipe none.toml", 2, "there is no file none.toml"),
        ("train {photos} --config {file}", 2, "photo.jpg cannot be read as TOML"),
        ("train {photos} --test 0.9", 2, "Invalid value for '--test'"),
        ("train {photos} --resume {photos}", 2, "a resumed run keeps its photos, --config, --relabel,"),
        ("train --resume {photos}", 4, "is not a run folder: it has no config.toml\nhint: A run folder is what"),
        ("train --resume {missing}", 4, "is not a run folder"),
        ("train {photos} --out {file}", 2, "photo.jpg exists already and is not overwritten"),
        ("train {photos} --out {photos}", 2, "photos exists already and is not overwritten"),
        ("train {photos} --out {file}/run", 1, "could not write {file}/run: Not a directory"),
        ("audit {photos} --out {file}", 1, "could not write {file}: Not a directory"),
    ],
)  # fmt: skip
def test_commands_that_cannot_work_are_refused_at_once(
    cli: Cli, tmp_path: Path, arguments: str, code: int, error: str
) -> None:
    photos = folder_with(tmp_path / "photos", {**CATS, **DOGS})
    file = tmp_path / "photo.jpg"
    file.write_bytes(CATS["cat/0.jpg"])
    places = {"photos": photos, "file": file, "missing": tmp_path / "missing"}
    received, errors = cli(*(word.format(**places) for word in arguments.split()))
    assert received == code
    assert error.format(**places) in errors
    assert read_files(photos) == {**CATS, **DOGS}
    assert file.read_bytes() == CATS["cat/0.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "photo.jpg", "photos"]
    assert not list(Path.cwd().iterdir())
    assert not list(Path(os.environ["DOGVSCAT_HOME"]).iterdir())  # no photo was looked at


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("network.dropout=0.1", "network.dropout cannot change when a run is resumed\nhint: Only these may change"),
        ("training.seed=7", "training.seed cannot change when a run is resumed"),
        ("training.epoch=9", "training.epoch cannot change when a run is resumed"),
        ("training.epochs=none", "training.epochs: expected a whole number"),
    ],
)
def test_a_run_is_not_resumed_as_another_one(
    cli: Cli, quick_run: Path, tmp_path: Path, setting: str, error: str
) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    code, errors = cli("train", "--resume", run, "--set", setting)
    assert code == 2
    assert error in errors
    assert read_files(run) == read_files(quick_run)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "checkpoint cut short": ("checkpoint/state.npz", lambda data: data[: len(data) // 2], "state.npz is damaged"),
    "checkpoint empty": ("checkpoint/state.npz", lambda data: b"", "state.npz is damaged"),
    "checkpoint garbage": ("checkpoint/state.npz", lambda data: b"garbage" * 99, "state.npz is damaged"),
    "checkpoint with a flipped byte": ("checkpoint/state.npz", flipped, "state.npz is damaged"),
    "manifest cut short": ("manifest.csv", lambda data: data[:30], r"manifest\.csv is not a manifest"),
    "manifest with a row less": (
        "manifest.csv",
        lambda data: data[: data.rindex(b"\n", 0, -1) + 1],
        r"manifest\.csv does not list the photos that this run was started with",
    ),
    "manifest garbage": ("manifest.csv", lambda data: b"\x00\xff" * 99, r"manifest\.csv is not a manifest"),
    "environment garbage": ("environment.json", lambda data: b"garbage", r"is damaged: expected JSON"),
    "environment of nothing": ("environment.json", lambda data: b"{}", r"is damaged: expected entries for commit"),
    "environment of another kind": ("environment.json", lambda data: b"[]", r"environment\.json is damaged: expected"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "error"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_run_is_not_resumed_and_stays_as_it_is(
    cli: Cli, quick_run: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes], error: str
) -> None:
    run = Path(shutil.copytree(quick_run, tmp_path / "run"))
    (run / name).write_bytes(damage((run / name).read_bytes()))
    before = read_files(run)
    code, errors = cli("train", "--resume", run, "--set", "training.epochs=3")
    assert code == 4
    assert re.search(error, errors)
    assert read_files(run) == before
