"""Bundles are found where MODEL says, and a file that is not the one the card vouches for is refused before use."""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from dogvscat.bundle.folder import find_bundle, load_bundle
from dogvscat.errors import ModelError
from tests.helpers import ChangeCard

FILES = ("model.onnx", "weights.npz", "golden/1.png", "golden/6.png")


def test_a_bundle_loads_with_its_graph_and_the_digest_of_its_card(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.folder == bundle
    assert loaded.model == (bundle / "model.onnx").read_bytes()
    assert loaded.digest == hashlib.sha256((bundle / "card.json").read_bytes()).hexdigest()


def test_a_run_folder_means_the_bundle_inside(bundle: Path) -> None:
    assert find_bundle(bundle.parent) == bundle == find_bundle(bundle)


def test_a_shipped_bundle_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_bundle(Path("best")).digest == load_bundle(None).digest
    (tmp_path / "best").mkdir()  # a folder of that name here does not hide it unless it holds a bundle
    assert find_bundle(Path("best")) == find_bundle(None)


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('recipe = "fast"\n')
    with pytest.raises(ModelError, match="holds no bundle") as caught:
        find_bundle(tmp_path)
    assert caught.value.hint == f"This training is not finished; resume it with: dogvscat train --resume {tmp_path}"


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing does not exist"):
        find_bundle(tmp_path / "nothing")
    with pytest.raises(ModelError, match="holds no bundle"):
        find_bundle(tmp_path)
    file = tmp_path / "model.keras"
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match=r"model\.keras holds no bundle"):
        find_bundle(file)
    with pytest.raises(ModelError, match="cannot be opened: File name too long"):
        find_bundle(tmp_path / ("a" * 5000))


def test_an_export_is_told_from_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "preprocessing.json").write_text("{}")
    with pytest.raises(ModelError, match="holds no bundle") as caught:
        find_bundle(tmp_path)
    assert "It is an export" in (caught.value.hint or "")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_found_wherever_it_is(bundle: Path, name: str, share: float) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[round(share * (len(data) - 1))] ^= 0x01
    (bundle / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name} is not the file this bundle was made with: expected sha256"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_found(bundle: Path, name: str) -> None:
    os.truncate(bundle / name, (bundle / name).stat().st_size // 2)
    with pytest.raises(ModelError, match=f"{name} is not the file"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", [*FILES, "golden"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    shutil.rmtree(bundle / name) if name == "golden" else (bundle / name).unlink()
    with pytest.raises(ModelError, match=f"{name}.* cannot be read: No such file"):
        load_bundle(bundle)


def test_a_flipped_byte_in_the_card_never_goes_unnoticed(bundle: Path) -> None:
    """At every hundredth of the card: refused, or the card has another digest, so that its golden pictures are
    checked again."""
    good = (bundle / "card.json").read_bytes()
    trusted = load_bundle(bundle).digest
    for position in range(0, len(good), max(1, len(good) // 100)):
        damaged = bytearray(good)
        damaged[position] ^= 0x01
        (bundle / "card.json").write_bytes(damaged)
        with suppress(ModelError):
            assert load_bundle(bundle).digest != trusted


@pytest.mark.parametrize("name", ["../secret", "golden/../../secret", "/etc/hostname", "/dev/zero"])
def test_a_card_cannot_name_files_outside_of_its_bundle(bundle: Path, change_card: ChangeCard, name: str) -> None:
    (bundle.parent / "secret").write_bytes(b"secret")
    digest = hashlib.sha256(b"secret").hexdigest()
    change_card(lambda card: card["files"].update({name: digest}))
    with pytest.raises(ModelError, match=f"names a file outside of the bundle: '{name}'"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["a\0b", "", "golden", "n" * 5000])
def test_names_that_are_no_files_are_refused(bundle: Path, change_card: ChangeCard, name: str) -> None:
    change_card(lambda card: card["files"].update({name: "0" * 64}))
    with pytest.raises(ModelError, match="cannot be read"):
        load_bundle(bundle)


def test_a_file_of_a_gigabyte_is_not_even_read(bundle: Path) -> None:
    os.truncate(bundle / "weights.npz", 2**30)  # sparse: takes no room
    with pytest.raises(ModelError, match=r"weights\.npz is larger than 536,870,912 bytes"):
        load_bundle(bundle)
