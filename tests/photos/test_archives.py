"""Hostile and damaged archives, made here."""

import stat
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dogvscat.errors import ArchiveError, ImageError
from dogvscat.photos.reading import archives
from dogvscat.photos.reading.archives import SafeZip


def _info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def _patch(path: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes, in names for example, that zipfile itself would not write."""
    assert len(old) == len(new)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def _declare(path: Path, num_bytes: int) -> Path:
    """Change the size that the directory declares for the only member."""
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = num_bytes.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_reads_what_was_stored_and_deflated(tmp_path: Path) -> None:
    stored = zipfile.ZipInfo("cat/0.jpg")
    path = _zip(tmp_path / "a.zip", (stored, b"meow"), ("dog/1.jpg", b"woof" * 1000), ("dog/", b""))
    archive = SafeZip(path)
    assert archive.names == ["cat/0.jpg", "dog/1.jpg"]
    assert archive.folders == ["dog"]
    assert archive.read("cat/0.jpg") == b"meow"
    assert archive.read("dog/1.jpg") == b"woof" * 1000


def test_many_threads_read_through_one_archive(tmp_path: Path) -> None:
    contents = {f"cat/{number}.jpg": str(number).encode() * 5000 for number in range(50)}
    archive = SafeZip(_zip(tmp_path / "a.zip", *contents.items()))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(archive.read, list(contents) * 10)) == list(contents.values()) * 10


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "cat/../../evil.jpg",
        "/etc/evil.jpg",
        "C:/evil.jpg",
        "c:evil.jpg",
        "cat\\evil.jpg",
        "..\\evil.jpg",
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), (name, b"x"))
    with pytest.raises(ArchiveError, match=r"a\.zip is refused: its member .*evil.* not a plain relative path"):
        SafeZip(path)
    assert sorted(tmp_path.rglob("*")) == [path]  # nothing was written anywhere


def _zip_with_backslashes(path: Path, *members: tuple[str, bytes]) -> Path:
    """As .NET's old programs write it: every separator is a backslash, also at the end of folders."""
    _zip(path, *((name.replace("\\", "/"), data) for name, data in members))
    for name, _ in members:
        _patch(path, name.replace("\\", "/").encode(), name.encode())
    return path


def test_backslashes_throughout_are_separators(tmp_path: Path) -> None:
    members = [("pets\\cat\\0.jpg", b"meow"), ("pets\\dog\\1.jpg", b"woof"), ("pets\\dog\\", b"")]
    archive = SafeZip(_zip_with_backslashes(tmp_path / "a.zip", *members))
    assert (archive.names, archive.folders) == (["pets/cat/0.jpg", "pets/dog/1.jpg"], ["pets/dog"])
    assert archive.read("pets/dog/1.jpg") == b"woof"


@pytest.mark.parametrize(
    "name", ["..\\evil.jpg", "cat\\..\\..\\evil.jpg", "\\evil.jpg", "\\\\host\\evil.jpg", "C:\\evil.jpg"]
)
def test_backslashes_obey_the_same_rules(tmp_path: Path, name: str) -> None:
    path = _zip_with_backslashes(tmp_path / "a.zip", ("cat\\0.jpg", b"meow"), (name, b"x"))
    with pytest.raises(ArchiveError, match=r"its member .*evil.* not a plain relative path"):
        SafeZip(path)
    twice = _zip_with_backslashes(tmp_path / "b.zip", ("cat\\0.jpg", b"meow"), ("cat\\1.jpg", b"x"))
    with pytest.raises(ArchiveError, match="is in the archive twice"):
        SafeZip(_patch(twice, b"1.jpg", b"0.jpg"))


@pytest.mark.parametrize("name", ["Icon\r", "cat/Icon\r", "__MACOSX/cat/._Icon\r", "notes\n.txt", "bell\x07"])
def test_a_file_that_is_no_photo_may_have_control_characters_in_its_name(tmp_path: Path, name: str) -> None:
    archive = SafeZip(_zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), (name, b"x")))
    assert archive.names == ["cat/0.jpg"]
    assert archive.num_passed_over == 1


@pytest.mark.parametrize("byte", [b"\0", b"\n", b"\x1b", b"\x7f"])
@pytest.mark.parametrize("is_at_the_end", [False, True])
def test_names_of_photos_with_control_characters_are_refused(tmp_path: Path, byte: bytes, is_at_the_end: bool) -> None:
    if is_at_the_end and not byte.isspace():  # 0.jpg + ESC is no photo by its name
        return
    new_name = b"cat/0.jpg" + byte if is_at_the_end else b"cat/0" + byte + b".jpg"
    path = _patch(_zip(tmp_path / "a.zip", ("cat/0_.jpg", b"meow")), b"cat/0_.jpg", new_name)
    with pytest.raises(ArchiveError, match="control characters"):
        SafeZip(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    path = _zip(tmp_path / "a.zip", (_info("cat/0.jpg", kind | 0o777), b"/etc/passwd"))
    with pytest.raises(ArchiveError, match=r"'cat/0\.jpg' is a link or a device"):
        SafeZip(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the encryption flag in the directory
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"'cat/0\.jpg' is encrypted"):
        SafeZip(path)


@pytest.mark.parametrize("second", ["cat/0.jpg", "./cat/0.jpg", "cat//0.jpg", "cat/0.jpg/"])
def test_equal_names_are_refused(tmp_path: Path, second: str) -> None:
    other = second.replace("0", "1")
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), (other, b""))
    _patch(path, other.encode(), second.encode())
    with pytest.raises(ArchiveError, match=r"'cat/0\.jpg' is in the archive twice"):
        SafeZip(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_refused(tmp_path: Path, share: float) -> None:
    path = _zip(tmp_path / "a.zip", *((f"cat/{number}.jpg", bytes(500)) for number in range(20)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ArchiveError, match=r"a\.zip is not a complete zip archive"):
        SafeZip(path)


def test_an_archive_without_its_start_is_refused_or_loses_only_those_members(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", *((f"cat/{number}.jpg", str(number).encode()) for number in range(20)))
    path.write_bytes(path.read_bytes()[100:])
    with pytest.raises(ArchiveError):
        SafeZip(path)


def test_a_declared_bomb_is_refused_when_opened(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", bytes(2_000_000)))
    with pytest.raises(ArchiveError, match=r"'cat/0\.jpg' declares an unpacked size of over 100 times .* a zip bomb"):
        SafeZip(path)


def test_a_blank_bitmap_and_a_huge_text_are_not_bombs(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.bmp", bytes(1024 * 1024)), ("log.txt", bytes(5_000_000)))
    assert SafeZip(path).read("cat/0.bmp") == bytes(1024 * 1024)


def test_a_bomb_that_declares_little_is_refused_when_read(tmp_path: Path) -> None:
    path = _declare(_zip(tmp_path / "a.zip", ("cat/0.jpg", bytes(50_000_000))), 1000)
    with pytest.raises(ArchiveError, match=r"'cat/0\.jpg' unpacks to over 100 times .* a zip bomb"):
        SafeZip(path).read("cat/0.jpg")


def test_members_that_share_their_data_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), ("cat/1.jpg", b"woof"))
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = bytes(4)  # its data starts where that of the first does
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="zip bomb"):
        SafeZip(path)


def test_too_many_members_and_too_large_a_total_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _zip(tmp_path / "a.zip", *((f"cat/{number}.jpg", b"meow") for number in range(11)))
    monkeypatch.setattr(archives, "MAX_ENTRIES", 10)
    with pytest.raises(ArchiveError, match="has 11 members, at most 10"):
        SafeZip(path)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 11)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 43)
    with pytest.raises(ArchiveError, match="declares 44 bytes, at most 43"):
        SafeZip(path)


def test_very_deep_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="64 folders deep"):
        SafeZip(_zip(tmp_path / "a.zip", ("a/" * 20_000 + "0.jpg", b"meow")))


def test_a_member_too_large_for_a_photo_is_one_bad_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), ("cat/1.jpg", b"me"))
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 3)
    archive = SafeZip(path)
    with pytest.raises(ImageError, match="bytes, at most 3 are read") as caught:
        archive.read("cat/0.jpg")
    assert caught.value.code == "too_large"


def _flip_data(path: Path) -> None:
    _patch(path, b"meow", b"mEow")


def _flip_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0:2] = b"XX"
    path.write_bytes(data)


def _declare_less(path: Path) -> None:
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (3).to_bytes(4, "little")
    path.write_bytes(data)


def _odd_method(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 99
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_flip_data, _flip_header, _declare_less, _odd_method])
def test_a_damaged_member_does_not_affect_the_others(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = _zip(tmp_path / "a.zip", (zipfile.ZipInfo("cat/0.jpg"), b"meow"), ("cat/1.jpg", b"purr" * 100))
    damage(path)
    archive = SafeZip(path)
    with pytest.raises(ImageError, match=r"a\.zip/cat/0\.jpg") as caught:
        archive.read("cat/0.jpg")
    assert caught.value.code == "unreadable"
    assert archive.read("cat/1.jpg") == b"purr" * 100


def test_damaged_deflate_data_is_one_bad_photo(tmp_path: Path) -> None:
    packed = zlib.compress(b"meow" * 100, wbits=-15)
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow" * 100))
    _patch(path, packed, b"\xff" * len(packed))
    with pytest.raises(ImageError, match="is damaged") as caught:
        SafeZip(path).read("cat/0.jpg")
    assert caught.value.code == "unreadable"


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path: Path) -> None:
    path = _patch(_zip(tmp_path / "a.zip", ("cat/0_.jpg", b"meow")), b"cat/0_.jpg", b"cat/0\xff.jpg")
    archive = SafeZip(path)
    assert archive.names == ["cat/0\udcff.jpg"]
    assert archive.read("cat/0\udcff.jpg") == b"meow"


def test_utf8_names_are_understood_with_and_without_the_flag(tmp_path: Path) -> None:
    flagged = _zip(tmp_path / "a.zip", ("cat/Käthe 猫.jpg", b"meow"))
    name = "cat/é.jpg".encode()
    plain = _patch(_zip(tmp_path / "b.zip", ("cat/__.jpg", b"meow")), b"cat/__.jpg", name)
    assert SafeZip(flagged).names == ["cat/Käthe 猫.jpg"]
    assert SafeZip(plain).names == ["cat/é.jpg"]


def test_a_name_wrongly_marked_as_utf8_is_an_error(tmp_path: Path) -> None:
    path = _patch(_zip(tmp_path / "a.zip", ("cat/é.jpg", b"meow")), "é".encode(), b"\xff\xff")
    with pytest.raises(ArchiveError, match="marked as UTF-8 but is not"):
        SafeZip(path)


def test_missing_archives_and_members_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="there is no file"):
        SafeZip(tmp_path / "a.zip")
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"))
    archive = SafeZip(path)
    with pytest.raises(ImageError, match="no such file in the archive"):
        archive.read("cat/1.jpg")
    path.unlink()
    with pytest.raises(ArchiveError, match="no longer exists"):
        archive.read("cat/0.jpg")


def test_every_cut_of_a_small_archive_gives_a_named_error(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), ("dog/0.jpg", b"woof")).read_bytes()
    cut = tmp_path / "cut.zip"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ArchiveError):
            SafeZip(cut)


def test_every_flipped_byte_gives_the_right_bytes_or_a_named_error(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), ("dog/0.jpg", b"woof")).read_bytes()
    flipped = tmp_path / "flipped.zip"
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 0xFF
        flipped.write_bytes(data)
        try:
            archive = SafeZip(flipped)
            contents = [archive.read(name) for name in archive.names]
        except (ArchiveError, ImageError):
            continue
        assert set(contents) <= {b"meow", b"woof"}


@pytest.mark.parametrize("name", ["more.zip", "cat/MORE.ZIP", "dogs.tar", "dogs.7z"])
def test_an_archive_inside_an_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"), (name, b"PK"))
    with pytest.raises(ArchiveError, match=r"is an archive itself; unpack both first"):
        SafeZip(path)


def test_a_directory_that_is_too_long_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _zip(tmp_path / "a.zip", *((f"cat/{number}.jpg", b"meow") for number in range(11)))
    monkeypatch.setattr(archives, "MAX_ENTRIES", 10)
    with pytest.raises(ArchiveError, match="has 11 members, at most 10 are read"):
        SafeZip(path)
    data = bytearray(path.read_bytes())
    data[-12:-10] = (10).to_bytes(2, "little")  # the number of members; Python goes by the bytes of the directory
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="has 11 members, at most 10 are read"):
        SafeZip(path)
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 600)
    with pytest.raises(ArchiveError, match="has a list of members of 606 bytes, at most 600 are read"):
        SafeZip(path)


def test_the_long_form_of_the_end_is_read_as_well(tmp_path: Path) -> None:
    """Python writes it for over 65,535 members only, so it is made by hand here."""
    path = _zip(tmp_path / "a.zip", ("cat/0.jpg", b"meow"))
    data = path.read_bytes()
    start = data.rindex(b"PK\x05\x06")
    long_end = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12)  # versions, disks
    long_end += (200_000).to_bytes(8, "little") * 2 + (9_000_000).to_bytes(8, "little") + bytes(8)
    locator = b"PK\x06\x07" + bytes(4) + start.to_bytes(8, "little") + (1).to_bytes(4, "little")
    path.write_bytes(data[:start] + long_end + locator + data[start:])
    with pytest.raises(ArchiveError, match="has 200,000 members, at most 100,000 are read"):
        SafeZip(path)
