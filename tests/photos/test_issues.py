"""Every kind of issue, on real files made here."""

import io
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from dogvscat.photos.drawing.sample import draw
from dogvscat.photos.duplicates import group_names, near_duplicates
from dogvscat.photos.issues import ISSUE_KINDS, Issue, find_issues
from dogvscat.photos.reading.sources import open_photos
from dogvscat.photos.scan import scan


def _audited(folder: Path) -> list[Issue]:
    scanned = scan(open_photos(folder))
    pairs = near_duplicates(scanned)
    return find_issues(scanned, group_names(scanned, pairs), pairs)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three good cats and three good dogs."""
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for seed in (1, 2, 3):
            draw(kind, seed, 100).save(tmp_path / kind / f"{seed}.jpg")
    return tmp_path


def test_good_photos_have_no_issues(photos: Path) -> None:
    assert _audited(photos) == []


PLAIN = draw("cat", 50, 100)
ONE_KIND: dict[str, dict[str, bytes]] = {
    "unreadable": {"cat/text.jpg": b"no picture", "dog/cut.jpg": _jpeg(PLAIN, 90)[:500]},
    "empty": {"cat/empty.jpg": b"", "dog/empty.png": b""},
    "exact_duplicate": {"cat/a.jpg": _jpeg(PLAIN, 90), "cat/b.jpg": _jpeg(PLAIN, 90)},
    "near_duplicate": {"cat/a.jpg": _jpeg(PLAIN, 90), "cat/b.jpg": _jpeg(PLAIN, 50)},
    "low_information": {
        "cat/white.jpg": _jpeg(Image.new("RGB", (90, 90), "white"), 90),
        "dog/white.jpg": _jpeg(Image.new("RGB", (91, 90), "white"), 90),  # blank photos are not copies of one another
    },
    "odd_size": {
        "cat/large.jpg": _jpeg(PLAIN.resize((320, 320)), 90),  # 10.24 times the median
        "dog/small.jpg": _jpeg(draw("dog", 51, 400).resize((36, 26)).resize((36, 26)), 95),
    },
    "odd_aspect_ratio": {"cat/wide.jpg": _jpeg(PLAIN.resize((190, 62)), 90)},
    "tiny": {"cat/small.jpg": _jpeg(PLAIN.resize((60, 31)), 90)},
}


@pytest.mark.parametrize("kind", ["unreadable", "empty", "exact_duplicate", "near_duplicate", "low_information"])
def test_each_kind_is_found_in_its_photos(photos: Path, kind: str) -> None:
    for path, content in ONE_KIND[kind].items():
        (photos / path).write_bytes(content)
    issues = _audited(photos)
    assert [issue.path for issue in issues] == sorted(ONE_KIND[kind], key=lambda path: (_group(issues, path), path))
    assert {issue.kind for issue in issues} == {kind}


def _group(issues: list[Issue], path: str) -> str:
    return next(issue.group for issue in issues if issue.path == path)


@pytest.mark.parametrize("kind", ["odd_size", "odd_aspect_ratio", "tiny"])
def test_odd_shapes_are_found(photos: Path, kind: str) -> None:
    for path, content in ONE_KIND[kind].items():
        (photos / path).write_bytes(content)
    found = {issue.path for issue in _audited(photos) if issue.kind == kind}
    assert found == set(ONE_KIND[kind])


@pytest.mark.parametrize(
    ("size", "kinds"),
    [
        ((316, 316), set()),  # 9.99 times the median of 10,000 pixels
        ((317, 317), {"odd_size"}),
        ((32, 33), set()),
        ((31, 33), {"tiny"}),
        ((180, 60), set()),  # exactly 3 to 1
        ((60, 181), {"odd_aspect_ratio"}),
        ((20, 200), {"odd_aspect_ratio", "tiny"}),
        ((30, 30), {"odd_size", "tiny"}),
    ],
)
def test_limits_of_shapes(photos: Path, size: tuple[int, int], kinds: set[str]) -> None:
    draw("cat", 60, 100).resize(size).save(photos / "cat" / "shaped.png")
    assert {issue.kind for issue in _audited(photos) if issue.path == "cat/shaped.png"} == kinds


def _conflicts(photos: Path) -> dict[str, str]:
    return {issue.path: issue.detail for issue in _audited(photos) if issue.kind == "label_conflict"}


def test_one_file_under_both_labels(photos: Path) -> None:
    (photos / "dog" / "copy.jpg").write_bytes((photos / "cat" / "1.jpg").read_bytes())
    expected = {"cat/1.jpg": "same file as dog/copy.jpg", "dog/copy.jpg": "same file as cat/1.jpg"}
    assert _conflicts(photos) == expected


def test_one_picture_saved_twice_under_both_labels(photos: Path) -> None:
    (photos / "dog" / "copy.jpg").write_bytes(_jpeg(draw("cat", 1, 100), 40))
    assert _conflicts(photos) == {
        "cat/1.jpg": "nearly the same picture as dog/copy.jpg",
        "dog/copy.jpg": "nearly the same picture as cat/1.jpg",
    }


def test_every_copy_of_a_conflicting_photo_is_in_the_conflict(photos: Path) -> None:
    """A chain of crops: its ends differ too much to be a pair, and are still in one group."""
    picture = draw("cat", 7, 400)
    crops = [picture.crop((20 * step, 20 * step, 400 - 20 * step, 400 - 20 * step)) for step in range(6)]
    for step, crop in enumerate(crops):
        crop.resize((100, 100)).save(photos / ("dog" if step == 5 else "cat") / f"crop{step}.png")
    scanned = {photo.path: photo for photo in scan(open_photos(photos))}
    first, last = scanned["cat/crop0.png"], scanned["dog/crop5.png"]
    assert near_duplicates([first, last]) == []
    assert sorted(_conflicts(photos)) == [*(f"cat/crop{step}.png" for step in range(5)), "dog/crop5.png"]


def test_long_lists_of_copies_are_cut_short(photos: Path) -> None:
    for number in range(6):
        (photos / "cat" / f"copy{number}.jpg").write_bytes(_jpeg(PLAIN, 90))
    details = {issue.path: issue.detail for issue in _audited(photos)}
    assert details["cat/copy5.jpg"] == "same file as cat/copy0.jpg, cat/copy1.jpg, cat/copy2.jpg and 2 more"


def test_the_order_is_by_kind_then_group_then_path(photos: Path) -> None:
    for files in ONE_KIND.values():
        for path, content in files.items():
            (photos / path).with_stem(f"{len(content)}").write_bytes(content)
    issues = _audited(photos)
    assert issues == sorted(issues, key=lambda issue: (ISSUE_KINDS.index(issue.kind), issue.group, issue.path))
    by_path = defaultdict(list)
    for issue in issues:
        by_path[issue.path].append(issue.kind)
    assert all(len(set(kinds)) == len(kinds) for kinds in by_path.values())


def test_a_folder_without_readable_photos_has_no_median(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "x.jpg").write_bytes(b"x")
    assert [issue.kind for issue in _audited(tmp_path)] == ["unreadable", "unreadable"]
