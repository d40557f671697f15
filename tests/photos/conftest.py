"""The real archive, scanned once for all tests of this folder."""

from pathlib import Path

import pytest

from dogvscat.photos.audit import Audit, audit_photos
from dogvscat.photos.manifest import Manifest, make_manifest
from dogvscat.photos.reading.sources import PhotoSource, open_photos
from dogvscat.settings.resolve import resolve_config


@pytest.fixture(scope="session")
def archive(test_data: Path) -> PhotoSource:
    """The photos of the real archive."""
    return open_photos(test_data / "kagglecatsanddogs.zip")


@pytest.fixture(scope="session")
def archive_audit(archive: PhotoSource) -> Audit:
    """What is wrong with the real archive."""
    return audit_photos(archive)


@pytest.fixture(scope="session")
def archive_manifest(archive: PhotoSource, archive_audit: Audit) -> Manifest:
    """The real archive in its standard split; the audit's scan is cached."""
    return make_manifest(archive, resolve_config("classic").data)
