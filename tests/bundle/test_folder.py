"""Bundles are found where MODEL says, and a file that is not the one the card vouches for is refused before use."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dogvscat.bundle.folder import find_bundle, load_bundle
from dogvscat.errors import ModelError
from tests.helpers import read_files, seal

FILES = ("model.onnx", "weights.npz", "golden/1.png", "golden/6.png")


def test_a_bundle_loads_with_its_graph_and_the_digest_of_its_checksums(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.folder == bundle
    assert loaded.model == (bundle / "model.onnx").read_bytes()
    digest = hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()
    assert loaded.digest == digest
    assert loaded.name == f"{bundle.parent.name}@{digest[:12]}"
    assert load_bundle(None).name.startswith("best@")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum of GNU coreutils is needed")
def test_a_program_of_others_can_check_a_bundle(bundle: Path) -> None:
    command = ("sha256sum", "--check", "--strict", "SHA256SUMS")
    names = sorted(name for name in read_files(bundle) if name != "SHA256SUMS")
    checked = subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=True)
    assert checked.stdout.splitlines() == [f"{name}: OK" for name in names]
    (bundle / "card.json").write_bytes((bundle / "card.json").read_bytes() + b" ")
    assert subprocess.run(command, cwd=bundle, capture_output=True, check=False).returncode == 1


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


@pytest.mark.parametrize("name", ["card.json", "SHA256SUMS"])
def test_any_flipped_bit_in_the_texts_is_found(bundle: Path, name: str) -> None:
    """At every fiftieth byte here; `benchmarks/flipped_bits.py` flips every byte, and bits of all other files."""
    good = (bundle / name).read_bytes()
    for position in range(0, len(good), 50):
        damaged = bytearray(good)
        damaged[position] ^= 1 << position % 8
        (bundle / name).write_bytes(damaged)
        with pytest.raises(ModelError):
            load_bundle(bundle)
    (bundle / name).write_bytes(good)
    load_bundle(bundle)


NO_CHECKSUMS = {
    "empty": "",
    "without card and model": "",
    "another order": "{1}\n{0}\n",
    "a name twice": "{0}\n{0}\n{1}\n",
    "no line end": "{0}\n{1}",
    "Windows' line ends": "{0}\r\n{1}\r\n",
    "capital digits": "{0:.64u}",
    "outside": "{0}\n" + "0" * 64 + "  ../secret\n",
    "outside, deeper": "{0}\n" + "0" * 64 + "  golden/../../secret\n",
    "absolute": "{0}\n" + "0" * 64 + "  /etc/hostname\n",
    "a device": "{0}\n" + "0" * 64 + "  /dev/zero\n",
    "a NUL byte": "{0}\n" + "0" * 64 + "  a\0b\n",
    "no name": "{0}\n" + "0" * 64 + "  \n",
}


@pytest.mark.parametrize("text", NO_CHECKSUMS.values(), ids=NO_CHECKSUMS.keys())
def test_a_list_of_files_that_is_damaged_or_hostile_is_refused(bundle: Path, text: str) -> None:
    (bundle.parent / "secret.txt").write_bytes(b"secret")
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    text = lines[0].upper() + "\n" if ":" in text else text.format(*lines)
    (bundle / "SHA256SUMS").write_text(text, newline="")
    with pytest.raises(ModelError, match=r"SHA256SUMS (is damaged|does not list)"):
        load_bundle(bundle)


def test_a_file_that_is_not_listed_is_never_read(bundle: Path) -> None:
    (bundle / "weights.onnx").write_bytes(b"mine")
    with pytest.raises(ModelError, match=r"has no weights\.onnx"):
        load_bundle(bundle).read("weights.onnx")


@pytest.mark.parametrize("name", ["card.json", "model.onnx", "golden/1.png"])
def test_a_list_without_a_file_that_is_needed_is_refused(bundle: Path, name: str) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).unlink()
    seal(bundle)
    (bundle / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"SHA256SUMS does not list {name}"):
        load_bundle(bundle)


def test_a_bundle_of_an_earlier_version_says_what_to_do(bundle: Path) -> None:
    (bundle / "SHA256SUMS").unlink()
    with pytest.raises(ModelError, match="has no SHA256SUMS") as caught:
        load_bundle(bundle)
    assert "use it with that version, or train again" in str(caught.value.hint)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(bundle: Path) -> None:
    (bundle / "weights.npz").unlink()
    os.mkfifo(bundle / "weights.npz")
    with pytest.raises(ModelError, match=r"weights\.npz cannot be read: it is not a file"):
        load_bundle(bundle)


def test_a_file_of_a_gigabyte_is_not_even_read(bundle: Path) -> None:
    os.truncate(bundle / "weights.npz", 2**30)  # sparse: takes no room
    with pytest.raises(ModelError, match=r"weights\.npz is larger than 536,870,912 bytes"):
        load_bundle(bundle)
