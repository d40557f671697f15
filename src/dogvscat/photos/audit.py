"""The audit: what is wrong with a collection of photos, as a table and as a page with the photos side by side."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from dogvscat import atomic
from dogvscat.cpus import available_cpus
from dogvscat.errors import ImageError
from dogvscat.labels import ClassNames
from dogvscat.pages import data_uri, open_templates
from dogvscat.photos.decoding.decoder import decode
from dogvscat.photos.duplicates import group_names, near_duplicates
from dogvscat.photos.giveaways import Giveaway, find_giveaways
from dogvscat.photos.issues import ISSUE_KINDS, LABEL_KINDS, Issue, find_issues
from dogvscat.photos.reading.sources import PhotoSource
from dogvscat.photos.scan import ScannedPhoto, scan
from dogvscat.text import html_table, printable

KIND_MEANINGS = {
    "unreadable": "Cannot be decoded: damaged, of an unknown format, or far too large. Left out of training.",
    "empty": "The file has no bytes. Left out of training.",
    "exact_duplicate": "The same file more than once. Copies are never put into different splits.",
    "near_duplicate": "The same picture saved again, scaled, mirrored, turned, inverted, framed, cropped or shifted. "
    "Copies are never put into different splits.",
    "label_conflict": "The same picture filed under both classes. All copies are left out of training.",
    "low_information": "Blank or nearly blank: there is nothing to see.",
    "odd_size": "Over ten times as many pixels as the median photo, or less than a tenth.",
    "odd_aspect_ratio": "More than three times as long as wide: squashing it to a square distorts the animal.",
    "tiny": "Shorter side below 32 pixels: too little to see.",
    "label_suspect": "Networks that were not trained on the photo predict the other class. Some of these labels are "
    "wrong; in the other cases the networks are wrong. The most suspicious come first.",
    "neither_suspect": "Networks that were not trained on the photo are undecided. Some of these photos show neither "
    "class, some show both, and some are just hard.",
}

# Limits of the page; the table always has everything.
_THUMBNAIL_SIDE = 128  # longer side, in pixels
_MAX_GROUPS = 60  # of one kind
_MAX_LABEL_GROUPS = 300  # of one kind out of LABEL_KINDS: a person looks at each of these before correcting a label
_MAX_PHOTOS = 12  # of one group


@dataclass(frozen=True)
class Audit:
    """The photos of one collection and their issues."""

    location: str
    class_names: ClassNames
    scanned: Sequence[ScannedPhoto]
    issues: Sequence[Issue]
    skipped: int
    """Number of files that are not among the photos: not photos, hidden, or outside of the class folders."""
    is_synthetic: bool
    notes: tuple[str, ...] = ()
    """How the folders were read, where that is not obvious; one sentence per note."""
    giveaways: Sequence[Giveaway] = ()
    """Facts about the files that reveal the class."""
    labels_checked: bool = False
    """Whether issues of `LABEL_KINDS` were searched for."""

    def with_label_evidence(self, issues: Sequence[Issue]) -> "Audit":
        """The audit with issues of `LABEL_KINDS` added at the end, in the order given."""
        return replace(self, issues=[*self.issues, *issues], labels_checked=True)

    def count_kinds(self) -> dict[str, int]:
        """Number of issues of each kind that was searched for, in the order of `ISSUE_KINDS`."""
        counts = Counter(issue.kind for issue in self.issues)
        return {kind: counts[kind] for kind in ISSUE_KINDS if self.labels_checked or kind not in LABEL_KINDS}

    def count_classes(self) -> dict[str, int]:
        """Number of photos filed under each class."""
        counts = Counter(self.class_names[photo.label] for photo in self.scanned)
        return {name: counts[name] for name in self.class_names}

    def __repr__(self) -> str:
        photos = ", ".join(f"{count:,} {name}" for name, count in self.count_classes().items())
        issues = ", ".join(f"{count:,} {kind}" for kind, count in self.count_kinds().items() if count)
        return f"<Audit of {printable(self.location)}: {printable(photos)}; issues: {issues or 'none'}>"

    def _repr_html_(self) -> str:
        """As notebooks show it: the number of issues of each kind, with its meaning."""
        rows = [(kind, f"{count:,}", KIND_MEANINGS[kind]) for kind, count in self.count_kinds().items()]
        return html_table(("issue", "photos", "meaning"), rows)


def audit_photos(source: PhotoSource, *, isolate: bool = False) -> Audit:
    """Scan every photo and find all issues but those of `LABEL_KINDS`; no file is changed.

    Args:
        source: The photos.
        isolate: Decode in separate processes with limits. Photos that cannot be decoded there are not decoded again.

    Raises:
        DogvscatError: if such a process cannot start.
    """
    if isolate:
        from dogvscat.photos.isolation.pool import DecoderPool

        with DecoderPool(available_cpus()) as decoders:
            scanned = scan(source, decoders.decode_with_facts)
    else:
        scanned = scan(source)
    pairs = near_duplicates(scanned)
    groups = group_names(scanned, pairs)
    issues = find_issues(scanned, groups, pairs)
    giveaways = find_giveaways(scanned, groups)
    return Audit(
        str(source.location),
        source.class_names,
        scanned,
        issues,
        source.skipped,
        source.is_synthetic,
        source.notes,
        giveaways,
    )


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
        notes=[printable(note) for note in audit.notes],
        classes={printable(name): count for name, count in audit.count_classes().items()},
        num_found=len({issue.path for issue in audit.issues}),
        sections=_sections(audit, source),
    )
    # The larger file first: if the disk has room for it, the table fits too.
    atomic.write_text(folder / "audit.html", page)
    header = ("path", "kind", "group", "detail")
    atomic.write_csv(folder / "issues.csv", header, (astuple(issue) for issue in audit.issues))


@dataclass(frozen=True)
class _PhotoEntry:
    path: str
    label: str
    detail: str
    thumbnail: str
    """A `data:` URI; empty if there is no image."""


@dataclass(frozen=True)
class _Group:
    photos: Sequence[_PhotoEntry]
    """The first photos of the group, those that are shown."""
    num_photos: int
    """Number of all photos of the group."""


@dataclass(frozen=True)
class _Section:
    kind: str
    meaning: str
    count: int
    groups: Sequence[_Group]
    """The first groups, those that are shown."""
    num_groups: int
    """Number of all groups."""


def _sections(audit: Audit, source: PhotoSource) -> list[_Section]:
    grouped: dict[str, dict[str, list[Issue]]] = {kind: {} for kind in audit.count_kinds()}
    for issue in audit.issues:
        grouped[issue.kind].setdefault(issue.group, []).append(issue)
    first_groups = {
        kind: list(islice(groups.values(), _MAX_LABEL_GROUPS if kind in LABEL_KINDS else _MAX_GROUPS))
        for kind, groups in grouped.items()
    }
    paths = {issue.path for groups in first_groups.values() for issues in groups for issue in issues[:_MAX_PHOTOS]}
    by_path = {photo.path: photo for photo in audit.scanned if photo.path in paths}
    sections = []
    for kind, groups in first_groups.items():
        shown_groups = [
            _Group([_photo_entry(source, by_path[issue.path], issue, audit.class_names) for issue in issues], count)
            for issues, count in ((issues[:_MAX_PHOTOS], len(issues)) for issues in groups)
        ]
        num_issues = sum(map(len, grouped[kind].values()))
        sections.append(_Section(kind, KIND_MEANINGS[kind], num_issues, shown_groups, len(grouped[kind])))
    return sections


def _photo_entry(source: PhotoSource, photo: ScannedPhoto, issue: Issue, class_names: ClassNames) -> _PhotoEntry:
    thumbnail = ""
    if not photo.error_code:
        try:
            pixels = decode(source.read(photo.path), photo.path, _THUMBNAIL_SIDE)
            thumbnail = _thumbnail_uri(Image.fromarray(pixels), photo)
        except ImageError:  # the file changed since the scan; its issue is reported without a thumbnail
            pass
    return _PhotoEntry(printable(photo.path), printable(class_names[photo.label]), printable(issue.detail), thumbnail)


def _thumbnail_uri(image: Image.Image, photo: ScannedPhoto) -> str:
    """The photo at its own aspect ratio as a `data:` URI, so that the page needs no other file."""
    scale = _THUMBNAIL_SIDE / max(photo.width, photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    buffer = io.BytesIO()
    image.resize(size).save(buffer, "JPEG", quality=80)
    return data_uri(buffer.getvalue(), "image/jpeg")
