"""What people send by mistake is refused with a hint that leads to the right request; curl itself sends it."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import draw_photos

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo as JPEG and as PNG, in Base64, in JSON, and as web forms."""
    folder = tmp_path_factory.mktemp("photos")
    png = (draw_photos(folder / "drawn", [1], 64) / "cat" / "1.png").read_bytes()
    from PIL import Image

    Image.open(folder / "drawn" / "cat" / "1.png").convert("RGB").save(folder / "photo.jpg", quality=95)
    (folder / "photo.png").write_bytes(png)
    text = base64.b64encode((folder / "photo.jpg").read_bytes())
    (folder / "base64.txt").write_bytes(text)
    (folder / "url.txt").write_bytes(b"data:image/jpeg;base64," + text)
    (folder / "photo.json").write_text(json.dumps({"image": text.decode()}))
    (folder / "list.json").write_text(
        "\ufeff" + json.dumps([{"b64": text.decode(), "name": "Kätzchen"}], ensure_ascii=False)
    )
    (folder / "empty.jpg").touch()
    (folder / "damaged.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:700])
    return folder


def curl(linear: Any, folder: Path, *arguments: str) -> dict[str, Any]:
    """The answer to a request of curl, run in the folder of the photos."""
    command = ["curl", "--silent", "--noproxy", "*", *arguments, f"{linear.url}/api/v1/predict"]
    result = subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
    return dict(json.loads(result.stdout))


JSON = ("-H", "Content-Type: application/json")


@pytest.mark.parametrize(
    ("arguments", "status", "detail", "hint"),
    [
        (("-d", "@photo.jpg"), None, "has lost its zero bytes and line ends, as `curl -d`", "--data-binary @photo.jpg"),
        (("-d", "@photo.png"), None, "has lost its zero bytes and line ends", "Use --data-binary instead"),
        (("-d", "photo.jpg"), 415, "is the name of a file, expected its content", "Put an @ before the name."),
        (("--data-binary", "my photo.JPEG"), 415, "is the name of a file", "Put an @ before the name."),
        (("-d", "https://example.org/photo.jpg"), 415, "is an address", "This server opens no addresses."),
        (("-d", "files=@photo.jpg"), 415, "is the name of a file", "curl -F files=@photo.jpg"),
        (("--data-urlencode", "files@photo.jpg"), 415, "is a form without files", "curl -F files=@photo.jpg"),
        (
            ("-d", '{"url": "photo.jpg"}'),
            415,
            "is JSON, expected the bytes of a photo",
            "curl --data-binary @photo.jpg",
        ),
        ((*JSON, "-d", "@photo.json"), 415, "is JSON, expected the bytes of a photo", "curl --data-binary @photo.jpg"),
        ((*JSON, "--data-binary", "@list.json"), 415, "is JSON", "curl --data-binary @photo.jpg"),
        (("--data-binary", "@base64.txt"), 415, "is Base64 text", "Decode it first."),
        (("-F", "files=@base64.txt"), 415, "is Base64 text", "Decode it first."),
        (("--data-binary", "@url.txt"), 415, "is Base64 text", "Decode it first."),
        (("-F", "files=photo.jpg"), 422, "the form has a field 'files' that is not a file", "Put an @ before the name"),
        (("-F", "files=@photo.jpg,photo.png"), 422, "a field 'files' that is not a file", "repeat -F for each"),
        (
            ("-H", "Content-Type: multipart/form-data", "--data-binary", "@photo.jpg"),
            422,
            "has no boundary in its Content-Type",
            "Leave the Content-Type header out",
        ),
        (("-X", "POST"), 400, "empty", "Send the file itself"),
        (("--data-binary", "@empty.jpg"), 400, "empty", "Send the file itself"),
        (("-T", "photo.jpg"), 405, "method not allowed", "POST photos to /api/v1/predict"),
        ((), 405, "method not allowed", "POST photos to /api/v1/predict"),
    ],
)
def test_the_hint_leads_to_the_right_request(
    linear: Any, photos: Path, arguments: tuple[str, ...], status: int | None, detail: str, hint: str
) -> None:
    answer = curl(linear, photos, *arguments)
    assert detail in answer["detail"]
    assert hint in answer["hint"]
    assert answer["status"] == (status or answer["status"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data-binary", "@photo.jpg"),
        (*JSON, "--data-binary", "@photo.jpg"),  # the media type does not matter
        ("-X", "POST", "-T", "photo.png"),
        ("-F", "picture=@photo.jpg"),
        ("-F", "files=@photo.jpg", "-F", "files=@photo.png"),
    ],
)
def test_the_right_requests_are_answered(linear: Any, photos: Path, arguments: tuple[str, ...]) -> None:
    assert all("label" in row for row in curl(linear, photos, *arguments)["predictions"])


def test_a_damaged_photo_is_called_damaged(linear: Any, photos: Path) -> None:
    answer = curl(linear, photos, "--data-binary", "@damaged.jpg")
    assert answer["status"] == 400
    assert "zero bytes" not in answer["detail"]


def test_each_photo_of_a_form_has_its_own_hint(linear: Any, photos: Path) -> None:
    rows = curl(linear, photos, "-F", "files=@base64.txt", "-F", "files=@photo.jpg", "-F", "files=@photo.json")[
        "predictions"
    ]
    messages = [row["error"] and row["error"]["message"] for row in (rows[0], rows[2])]
    assert messages == [
        "is Base64 text, expected the bytes that it stands for",
        "is JSON, expected the bytes of a photo",
    ]
    assert rows[1]["label"]
