"""The audit: what is wrong with a collection of photos, as a table and as a page with the pictures side by side."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from PIL import Image

from dogvscat import atomic
from dogvscat.errors import ImageError
from dogvscat.labels import ClassNames
from dogvscat.pages import data_uri, open_templates
from dogvscat.photos.decoder import decode
from dogvscat.photos.duplicates import group_names, near_duplicates
from dogvscat.photos.issues import ISSUE_KINDS, LABEL_KINDS, Issue, find_issues
from dogvscat.photos.scan import ScannedPhoto, scan
from dogvscat.photos.sources import PhotoSource
from dogvscat.text import printable

KIND_MEANS = {
    "unreadable": "Cannot be decoded: damaged, of an unknown format, or far too large. Left out of training.",
    "empty": "The file has no bytes. Left out of training.",
    "exact_duplicate": "The very same file more than once. Copies stay on one side of a split, or are all left out.",
    "near_duplicate": "The same picture saved, scaled or cropped again. Kept together as well.",
    "label_conflict": "The same picture filed under both classes. All copies are left out of training.",
    "low_information": "Blank or nearly blank: there is nothing to see.",
    "odd_size": "Ten times more or fewer pixels than the typical photo here.",
    "odd_aspect_ratio": "More than three times as long as wide: squashing it to a square distorts the animal.",
    "tiny": "Shorter side below 32 pixels: too little to see.",
    "label_suspect": "Networks that never saw the photo say the other class. Wrong labels are among these, beside the "
    "networks' own mistakes; the most likely first.",
    "neither_suspect": "Networks that never saw the photo cannot tell which class it is. Photos of neither are among "
    "these, beside those of both and those that are hard.",
}

_THUMBNAIL = 128
_MOST_GROUPS_SHOWN = 60
_MOST_EVIDENCE_SHOWN = 300  # groups of LABEL_KINDS: a person goes through these before believing them
_MOST_PHOTOS_SHOWN = 12  # of one group


@dataclass(frozen=True)
class Audit:
    """What was found in one collection."""

    location: str
    class_names: ClassNames
    scanned: Sequence[ScannedPhoto]
    issues: Sequence[Issue]
    skipped: int
    """Files of other kinds."""
    is_synthetic: bool
    labels_judged: bool = False
    """Whether issues of `LABEL_KINDS` were looked for."""

    def with_label_evidence(self, issues: Sequence[Issue]) -> "Audit":
        """The audit with issues of `LABEL_KINDS` added, in their order."""
        return replace(self, issues=[*self.issues, *issues], labels_judged=True)

    def count_kinds(self) -> dict[str, int]:
        """Issues of each kind that was looked for, in order."""
        counted = Counter(issue.kind for issue in self.issues)
        return {kind: counted[kind] for kind in ISSUE_KINDS if self.labels_judged or kind not in LABEL_KINDS}

    def count_classes(self) -> dict[str, int]:
        """Photos filed under each class."""
        counted = Counter(self.class_names[photo.label] for photo in self.scanned)
        return {name: counted[name] for name in self.class_names}


def audit_photos(source: PhotoSource) -> Audit:
    """Look at every photo and find what is wrong; nothing is changed."""
    scanned = scan(source)
    pairs = near_duplicates(scanned)
    groups = group_names(scanned, pairs)
    issues = find_issues(scanned, groups, pairs)
    return Audit(str(source.location), source.class_names, scanned, issues, source.skipped, source.is_synthetic)


def write_audit(folder: Path, audit: Audit, source: PhotoSource) -> None:
    """Write `issues.csv` and `audit.html` into a folder.

    Raises:
        WriteError: if they cannot be written.
    """
    template = open_templates(Path(__file__).parent).get_template("audit.html.jinja")
    page = template.render(
        audit=audit,
        name=printable(source.location.resolve().name),
        location=printable(audit.location),
        classes={printable(name): count for name, count in audit.count_classes().items()},
        num_found=len({issue.path for issue in audit.issues}),
        sections=_sections(audit, source),
    )
    atomic.write_text(folder / "audit.html", page)  # the larger first: where it fits, the table does
    header = ("path", "kind", "group", "detail")
    atomic.write_csv(folder / "issues.csv", header, (astuple(issue) for issue in audit.issues))


@dataclass(frozen=True)
class _Shown:
    path: str
    label: str
    detail: str
    thumbnail: str


@dataclass(frozen=True)
class _Group:
    photos: Sequence[_Shown]
    num_photos: int


@dataclass(frozen=True)
class _Section:
    kind: str
    meaning: str
    count: int
    groups: Sequence[_Group]
    num_groups: int


def _sections(audit: Audit, source: PhotoSource) -> list[_Section]:
    by_path = {photo.path: photo for photo in audit.scanned}
    sections = []
    for kind, count in audit.count_kinds().items():
        grouped: dict[str, list[Issue]] = {}
        for issue in audit.issues:
            if issue.kind == kind:
                grouped.setdefault(issue.group, []).append(issue)
        shown = []
        most = _MOST_EVIDENCE_SHOWN if kind in LABEL_KINDS else _MOST_GROUPS_SHOWN
        for issues in list(grouped.values())[:most]:
            some = issues[:_MOST_PHOTOS_SHOWN]
            photos = [_show(source, by_path[issue.path], issue, audit.class_names) for issue in some]
            shown.append(_Group(photos, len(issues)))
        sections.append(_Section(kind, KIND_MEANS[kind], count, shown, len(grouped)))
    return sections


def _show(source: PhotoSource, photo: ScannedPhoto, issue: Issue, class_names: ClassNames) -> _Shown:
    thumbnail = ""
    if photo.usable:
        try:
            pixels = decode(source.read(photo.path), photo.path, _THUMBNAIL)
            thumbnail = _thumbnail_uri(Image.fromarray(pixels), photo)
        except ImageError:  # changed since the scan; the row in the table still says what was found
            pass
    return _Shown(printable(photo.path), printable(class_names[photo.label]), printable(issue.detail), thumbnail)


def _thumbnail_uri(image: Image.Image, photo: ScannedPhoto) -> str:
    """The photo at its own aspect ratio as a `data:` URI, so that the page needs no other file."""
    scale = _THUMBNAIL / max(photo.width, photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    buffer = io.BytesIO()
    image.resize(size).save(buffer, "JPEG", quality=80)
    return data_uri(buffer.getvalue(), "image/jpeg")
