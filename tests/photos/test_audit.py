"""The audit: its page, its table, and its findings in the real archive; no photo is changed."""

import base64
import csv
import hashlib
import io
import os
import shutil
from dataclasses import astuple
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from dogvscat.photos.audit import KIND_MEANINGS, Audit, audit_photos, write_audit
from dogvscat.photos.issues import ISSUE_KINDS, LABEL_KINDS, Issue
from dogvscat.photos.reading.sources import PhotoSource, open_photos
from tests.helpers import draw_photos

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_data(self, text: str) -> None:
        self.text += text

    def thumbnails(self) -> list[Image.Image]:
        prefix = "data:image/jpeg;base64,"
        sources = [value for name, value in self.attributes if name == "src"]
        assert all(source.startswith(prefix) for source in sources)
        return [Image.open(io.BytesIO(base64.b64decode(source.removeprefix(prefix)))) for source in sources]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A few good photos, an empty one, a copy, and a wide one."""
    draw_photos(tmp_path / "photos", range(4), image_size=100)
    shutil.copy(tmp_path / "photos" / "cat" / "0.png", tmp_path / "photos" / "cat" / "copy.png")
    (tmp_path / "photos" / "dog" / "empty.jpg").touch()
    Image.new("RGB", (400, 100), "teal").save(tmp_path / "photos" / "dog" / "wide.png")
    return tmp_path / "photos"


def _written(location: Path, out: Path) -> tuple[Audit, Page]:
    source = open_photos(location)
    audit = audit_photos(source)
    write_audit(out, audit, source)
    return audit, Page(out / "audit.html")


def test_the_table_has_one_row_per_issue(photos: Path, tmp_path: Path) -> None:
    audit, _ = _written(photos, tmp_path / "out")
    with (tmp_path / "out" / "issues.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "kind", "group", "detail"]
    assert [(row[0], row[1]) for row in rows] == [
        ("dog/empty.jpg", "empty"),
        ("cat/0.png", "exact_duplicate"),
        ("cat/copy.png", "exact_duplicate"),
        ("dog/wide.png", "low_information"),
        ("dog/wide.png", "odd_aspect_ratio"),
    ]
    assert [list(astuple(issue)) for issue in audit.issues] == rows
    assert rows[1][2] == rows[2][2] == hashlib.sha256((photos / "cat" / "0.png").read_bytes()).hexdigest()[:16]


def test_counts_of_photos_and_issues(photos: Path, tmp_path: Path) -> None:
    audit, page = _written(photos, tmp_path / "out")
    assert audit.count_classes() == {"cat": 5, "dog": 6}
    assert (*audit.count_kinds(), *LABEL_KINDS) == tuple(KIND_MEANINGS) == ISSUE_KINDS
    assert {kind: count for kind, count in audit.count_kinds().items() if count} == {
        "empty": 1,
        "exact_duplicate": 2,
        "low_information": 1,
        "odd_aspect_ratio": 1,
    }
    assert "11 photos:\n5 cat, 6 dog.\n4 of them are worth a look." in page.text
    assert "No photo was changed." in page.text


def test_thumbnails_show_the_photos_in_their_own_shape(photos: Path, tmp_path: Path) -> None:
    _, page = _written(photos, tmp_path / "out")
    sizes = [thumbnail.size for thumbnail in page.thumbnails()]
    assert sizes == [(128, 128), (128, 128), (128, 32), (128, 32)]  # the empty file has none
    assert "no picture" in page.text
    teal = page.thumbnails()[-1].getpixel((64, 16))
    assert isinstance(teal, tuple)
    assert max(abs(value - expected) for value, expected in zip(teal, (0, 128, 128), strict=True)) < 5


HOSTILE = [
    b'"><img src=x onerror=alert(1)>.png',
    b"'onload='alert(1).png",
    b"<script>alert(1)<.png",
    b"&lt;b&gt;.png",
    b"{{ 7 * 7 }}.png",
    b"\xff\xfe.png",
    b"two\nlines.png",
    "ü😺.png".encode(),
]


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    folder = tmp_path / "<h1>mine & yours"
    for kind in ("<b>fox", "wolf'\""):
        (folder / kind).mkdir(parents=True)
        for name in HOSTILE:
            Image.new("RGB", (50, 50)).save(os.fsdecode(os.fsencode(folder / kind) + b"/" + name))
    _, page = _written(folder, tmp_path / "out")
    _, plain = _written(_plain(tmp_path / "plain"), tmp_path / "plain out")
    assert page.tags <= plain.tags | {"img"}
    assert {name for name, _ in page.attributes} <= {name for name, _ in plain.attributes} | {"src", "alt"}
    for name in HOSTILE:
        assert name.decode("utf-8", "backslashreplace").replace("\n", "\\n") in page.text
    assert "<h1>mine & yours" in page.text
    assert "<b>fox" in page.text
    assert page.thumbnails()


def _plain(folder: Path) -> Path:
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        Image.new("RGB", (50, 50)).save(folder / kind / "a.png")
    return folder


def test_the_page_needs_no_other_file(photos: Path, tmp_path: Path) -> None:
    _written(photos, tmp_path / "out")
    text = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert "url(" not in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.html", "issues.csv"]


def test_no_photo_is_changed(photos: Path, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[str, int, int]]:
        files = sorted(path for path in photos.rglob("*") if path.is_file())
        return {
            str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns, path.stat().st_mode)
            for path in files
        }

    before = state()
    _written(photos, tmp_path / "out")
    assert state() == before


def test_a_folder_without_issues(tmp_path: Path, drawn_photos: Path) -> None:
    audit, page = _written(drawn_photos, tmp_path / "out")
    assert audit.issues == []
    assert "Nothing was found." in page.text
    assert "Pictures drawn by code, not photographs." in page.text
    assert (tmp_path / "out" / "issues.csv").read_text() == "path,kind,group,detail\n"


def test_label_issues_follow_the_others_in_their_own_order(photos: Path, tmp_path: Path) -> None:
    source = open_photos(photos)
    plain = audit_photos(source)
    evidence = [
        Issue("dog/2.png", "label_suspect", "g2", "filed as dog, out-of-fold probability of cat 0.98"),
        Issue("cat/1.png", "label_suspect", "g1", "filed as cat, out-of-fold probability of dog 0.91"),
        Issue("cat/3.png", "neither_suspect", "g3", "filed as cat, out-of-fold probability of dog 0.50"),
    ]
    audit = plain.with_label_evidence(evidence)
    assert audit.count_kinds() == plain.count_kinds() | {"label_suspect": 2, "neither_suspect": 1}
    write_audit(tmp_path / "plain", plain, source)
    write_audit(tmp_path / "out", audit, source)
    assert [*audit.issues] == [*plain.issues, *evidence]
    rows = (tmp_path / "out" / "issues.csv").read_text().splitlines()
    assert rows[:-3] == (tmp_path / "plain" / "issues.csv").read_text().splitlines()
    assert rows[-3] == 'dog/2.png,label_suspect,g2,"filed as dog, out-of-fold probability of cat 0.98"'
    before, page = Page(tmp_path / "plain" / "audit.html"), Page(tmp_path / "out" / "audit.html")
    assert len(page.thumbnails()) == len(before.thumbnails()) + 3
    assert page.text.index("probability of cat 0.98") < page.text.index("probability of dog 0.91")
    assert "relabel.csv" in page.text
    assert "suspect" not in before.text  # an issue that was not searched for must not be reported as absent
    assert "Wrong labels were not searched for" in before.text


def test_more_label_issues_are_shown_than_others(tmp_path: Path) -> None:
    folder = _plain(tmp_path / "photos")
    for number in range(310):
        (folder / "cat" / f"{number}.png").write_bytes(b"x")  # not an image, so that the page is made quickly
    source = open_photos(folder)
    evidence = [Issue(f"cat/{number}.png", "label_suspect", str(number), "") for number in range(310)]
    write_audit(tmp_path / "out", audit_photos(source).with_label_evidence(evidence), source)
    assert "The first 300 of 310 are shown." in Page(tmp_path / "out" / "audit.html").text


def test_a_photo_that_was_removed_has_no_thumbnail(photos: Path, tmp_path: Path) -> None:
    source = open_photos(photos)
    audit = audit_photos(source)
    shutil.rmtree(photos)
    write_audit(tmp_path / "out", audit, source)
    page = Page(tmp_path / "out" / "audit.html")
    assert page.thumbnails() == []
    assert page.text.count("no picture") == 5


def test_long_lists_are_cut_short_on_the_page_only(tmp_path: Path) -> None:
    folder = _plain(tmp_path / "photos")
    for number in range(20):
        shutil.copy(folder / "cat" / "a.png", folder / "cat" / f"same{number:02}.png")
    for number in range(70):
        Image.new("L", (60, 60), number).save(folder / "dog" / f"blank{number:02}.png")
    audit, page = _written(folder, tmp_path / "out")
    assert {kind: count for kind, count in audit.count_kinds().items() if count} == {
        "exact_duplicate": 22,
        "label_conflict": 22,
        "low_information": 92,
    }
    assert "and 10 more" in page.text
    assert "The first 60 of 71 are shown." in page.text
    with (tmp_path / "out" / "issues.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 22 + 22 + 92


def test_what_is_wrong_with_the_real_archive(archive_audit: Audit) -> None:
    found = {kind: {issue.path for issue in archive_audit.issues if issue.kind == kind} for kind in ISSUE_KINDS}
    assert found["empty"] == {"PetImages/Cat/666.jpg", "PetImages/Dog/11702.jpg"}
    assert len(found["exact_duplicate"]) == 41
    assert {"PetImages/Cat/8456.jpg", "PetImages/Dog/8736.jpg"} <= found["label_conflict"]
    assert found["low_information"] == {"PetImages/Cat/835.jpg"}
    assert found["unreadable"] == found["tiny"] == set()
    assert archive_audit.count_classes() == {"cat": 11_251, "dog": 11_251}
    assert archive_audit.skipped == 2  # Thumbs.db


def test_the_page_of_the_real_archive(archive: PhotoSource, archive_audit: Audit, tmp_path: Path) -> None:
    write_audit(tmp_path, archive_audit, archive)
    page = Page(tmp_path / "audit.html")
    assert "22,502 photos" in page.text
    assert len(page.thumbnails()) == sum(archive_audit.count_kinds().values()) - 2  # all but the empty ones
    assert (tmp_path / "audit.html").stat().st_size < 2_000_000
