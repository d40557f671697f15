"""Where caches lie, how large they are, and that clearing one leaves the others."""

import sys
from pathlib import Path

import pytest

from dogvscat import caches


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "~/.cache/dogvscat"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/dogvscat"),
        ("linux", {"XDG_CACHE_HOME": ""}, "~/.cache/dogvscat"),  # empty means unset, never the current folder
        ("darwin", {}, "~/Library/Caches/dogvscat"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/dogvscat"),
        ("linux", {"DOGVSCAT_HOME": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
        ("linux", {"DOGVSCAT_HOME": "~/mine"}, "~/mine"),
        ("linux", {"DOGVSCAT_HOME": ""}, "~/.cache/dogvscat"),
    ],
)
def test_where_home_is(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("DOGVSCAT_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert caches.home() == Path(expected).expanduser()


def test_only_known_areas_exist() -> None:
    assert caches.folder("pixels") == caches.home() / "pixels"
    with pytest.raises(KeyError, match=r"expected one of \['archives', .*received '\.\.'"):
        caches.folder("..")


def test_sizes_and_clearing() -> None:
    assert {area.num_bytes for area in caches.list_caches()} == {0}  # nothing is there yet, and nothing is made
    assert not caches.home().exists() or not list(caches.home().iterdir())
    for name, num_bytes in (("pixels/a.npy", 1000), ("pixels/deep/b.npy", 24), ("scans/c.csv", 5)):
        (caches.home() / name).parent.mkdir(parents=True, exist_ok=True)
        (caches.home() / name).write_bytes(bytes(num_bytes))
    sizes = {area.name: area.num_bytes for area in caches.list_caches()}
    assert sizes == {"archives": 0, "scans": 5, "pixels": 1024, "verified": 0, "fonts": 0, "compiled": 0}
    assert caches.clear("pixels") == 1024
    assert caches.clear("pixels") == 0
    assert [area.name for area in caches.list_caches() if area.num_bytes] == ["scans"]


def test_a_link_in_a_cache_is_counted_and_cleared_as_a_link(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(bytes(5000))
    caches.folder("pixels").mkdir(parents=True)
    (caches.folder("pixels") / "link").symlink_to(photo)
    assert caches.clear("pixels") < 1000
    assert photo.stat().st_size == 5000
