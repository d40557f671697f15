"""`dogvscat explain` writes one picture per photo, prints the answers, and leaves the photos unchanged."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import Dogvscat, json_lines

pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def test_each_photo_gets_its_picture(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    one, other = (min((drawn_photos / name).glob("*.jpg")) for name in ("cat", "dog"))
    photos = tmp_path / "photos"
    for folder, photo in (("a", one), ("b", other)):
        (photos / folder).mkdir(parents=True)
        shutil.copy(photo, photos / folder / "same name.jpg")
    (photos / "broken.jpg").write_bytes(b"no picture")
    before = digests(photos)
    result = dogvscat("explain", photos, "--model", untouched_bundle, "--out", photos, "--json")
    rows = json_lines(result.stdout)
    assert result.returncode == 3
    assert "1 of 3 photos could not be used" in result.stderr
    assert [Path(row["path"]).parent.name for row in rows] == ["photos", "a", "b"]
    assert rows[0]["error"]["code"] == "unsupported_format"
    names = [Path(row["explained"]).name for row in rows[1:]]
    assert names == ["same name-explained.jpg", "same name-explained-2.jpg"]
    for row in rows[1:]:
        with Image.open(row["explained"]) as picture:
            assert picture.width > 2 * 64
    assert {name: digest for name, digest in digests(photos).items() if "explained" not in name} == before


def test_the_picture_shows_photo_heat_and_answer(dogvscat: Dogvscat, untouched_bundle: Path, tmp_path: Path) -> None:
    pixels = np.zeros((200, 300, 3), dtype=np.uint8)
    pixels[:, 150:, 0] = 255  # red speaks for dog, more so to the lower right
    Image.fromarray(pixels).save(tmp_path / "half.png")
    result = dogvscat("explain", tmp_path / "half.png", "--model", untouched_bundle, "--out", tmp_path / "why")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("dog ")
    assert "half.png -> " in result.stdout
    shown = np.asarray(Image.open(tmp_path / "why" / "half-explained.jpg")).astype(int)
    photo, heat = shown[16:216, 16:316], shown[16:216, 332:632]
    assert np.abs(photo - pixels).mean() < 4.0  # JPEG
    assert np.ptp(heat[20:180, 5:60], axis=-1).max() < 60  # hardly any color on the black side
    assert (heat[150:190, 230:290, 0] > heat[150:190, 230:290, 2] + 60).all()
    assert (shown[220:] < 100).any()  # words and bars below


@pytest.mark.parametrize("method", ["cam", "hiding", "grad-cam"])
def test_every_method_works_on_a_trained_network(
    dogvscat: Dogvscat, quick_run: Path, drawn_photos: Path, tmp_path: Path, method: str
) -> None:
    photo = min(drawn_photos.rglob("*.jpg"))
    extra = ["--layers"] if method == "grad-cam" else []
    result = dogvscat("explain", photo, "--model", quick_run, "--out", tmp_path, "--method", method, *extra)
    assert result.returncode == 0, result.stderr
    assert "learned from drawings" in result.stderr
    assert (tmp_path / f"{photo.stem}-explained.jpg").stat().st_size > 1000
    layers = tmp_path / f"{photo.stem}-explained"
    expected = ["00-filters.png", "01-relu1.png", "02-relu2.png"] if extra else []
    assert sorted(file.name for file in layers.glob("*")) == expected


def test_without_a_folder_the_pictures_are_in_a_new_one(
    dogvscat: Dogvscat, untouched_bundle: Path, drawn_photos: Path, tmp_path: Path
) -> None:
    photo = min(drawn_photos.rglob("*.jpg"))
    result = dogvscat("explain", photo, "--model", untouched_bundle, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"-> explained/{photo.stem}-explained.jpg" in result.stdout
    assert [path.name for path in tmp_path.rglob("*.jpg")] == [f"{photo.stem}-explained.jpg"]


def test_a_wrong_method_is_named(dogvscat: Dogvscat, tmp_path: Path) -> None:
    result = dogvscat("explain", "x.jpg", "--out", tmp_path / "why", "--method", "magic")
    assert result.returncode == 2
    assert "'--method'" in result.stderr
    assert "grad-cam" in result.stderr
