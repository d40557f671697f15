"""The in-browser build in a real Chromium, with the network off: it answers as the bundle does, without any request."""

import base64
import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image, ImageCms

from dogvscat import caches
from dogvscat.bundle.export import onnxruntime_web as ort_web
from dogvscat.bundle.export.browser import convert_for_browser
from dogvscat.bundle.export.folder import write_export
from dogvscat.bundle.export.parity import ParityImages
from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.photos.decoding.decoder import decode, decode_photo
from dogvscat.photos.drawing.sample import draw
from tests.helpers import encoded

selenium = pytest.importorskip("selenium.webdriver")

pytestmark = pytest.mark.slow
Driver = Any
Open = Callable[..., Driver]

SHAPES = [(37, 53, 32), (37, 42, 32), (200, 61, 64), (20, 9, 32), (9, 40, 32), (300, 260, 160), (170, 600, 160)]


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, isolated: bool, **settings: Any) -> None:
        self.isolated = isolated
        super().__init__(*arguments, **settings)

    def end_headers(self) -> None:
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server:
    """A static web server on loopback that can go away."""

    def __init__(self, folder: Path, isolated: bool = False) -> None:
        handler = functools.partial(_Handler, directory=str(folder), isolated=isolated)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/index.html"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def page(_onnxruntime_web_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle's build, checked on its golden pictures only, which saves time."""
    out = tmp_path_factory.mktemp("page") / "page"
    bundle = load_bundle()
    size = bundle.card.image_size
    pixels = np.stack([decode_photo(bundle.folder / golden.file, size) for golden in bundle.card.golden])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOGVSCAT_HOME", str(tmp_path_factory.mktemp("home")))
        caches.folder("archives").mkdir(parents=True)
        ort_web.archive_path().symlink_to(_onnxruntime_web_archive)
        pictures = ParityImages(pixels, Predictor(bundle).logits(pixels), len(pixels), 0, 0)
        write_export(out, bundle, "browser", pictures, convert_for_browser(bundle, pixels))
    return out


@pytest.fixture(scope="module")
def driver(chromium: Callable[..., Driver]) -> Driver:
    """A headless Chromium that can resolve no name and notes down every request."""
    without_names = "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    browser = chromium("window-size=1200,900", without_names, performance="ALL", browser="ALL")
    browser.set_script_timeout(60)
    return browser


@pytest.fixture
def opened(driver: Driver, page: Path) -> Iterator[tuple[Driver, Server]]:
    """The page, loaded and ready, and its server."""
    server = Server(page)
    _open(driver, server)
    yield driver, server
    server.stop()


@pytest.fixture
def other_file(driver: Driver, page: Path) -> Iterator[Driver]:
    """Another file of the folder: tests of a script need not wait for the network to load."""
    server = Server(page)
    driver.get(server.url.replace("index.html", "style.css"))
    yield driver
    server.stop()


def _open(driver: Driver, server: Server) -> None:
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(server.url)
    _wait(driver, lambda: "is loaded" in _text(driver, "#status"))


def _wait(driver: Driver, condition: Callable[[], bool], seconds: float = 60) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, seconds, 0.05).until(lambda _: condition())


def _text(driver: Driver, selector: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0]).innerText", selector))


def _choose(driver: Driver, *files: Path) -> list[dict[str, Any]]:
    """Choose files and wait for all answers; what each card shows."""
    before = driver.execute_script("return document.querySelectorAll('.card').length")
    driver.find_element("id", "files").send_keys("\n".join(map(str, files)))
    return _cards(driver, before + len(files))[before:]


def _cards(driver: Driver, count: int) -> list[dict[str, Any]]:
    _wait(driver, lambda: _text(driver, "#progress").startswith(f"{count} of {count} answered"))
    return list(
        driver.execute_script(
            """return [...document.querySelectorAll('.card')].map(card => ({
                 label: card.dataset.label, probability: Number(card.dataset.probability),
                 name: card.querySelector('.name').textContent, verdict: card.querySelector('.verdict').textContent,
                 reason: card.querySelector('.reason').textContent, text: card.innerText }))"""
        )
    )


def _pixels(driver: Driver, data: bytes, name: str, size: int) -> np.ndarray:
    """What picture.js makes of a file, uint8 (size, size, 3)."""
    script = """
        const [base64, name, size, finish] = arguments;
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        import(new URL("decode.js", location.href))
          .then(({ readPhoto }) => readPhoto(new File([bytes], name), size))
          .then(({ pixels }) => finish(Array.from(pixels)), (error) => finish(String(error)));"""
    answer = driver.execute_async_script(script, base64.b64encode(data).decode(), name, size)
    assert isinstance(answer, list), answer
    return np.array(answer, dtype=np.uint8).reshape(size, size, 3)


def test_it_answers_as_the_bundle_does_with_no_server_left(opened: tuple[Driver, Server], page: Path) -> None:
    driver, server = opened
    server.stop()  # from here on there is no server
    card = load_bundle().card
    answers = _choose(driver, *(page / golden.file for golden in card.golden))
    for golden, answer in zip(card.golden, answers, strict=True):
        assert answer["probability"] == pytest.approx(golden.probabilities[card.positive_class], abs=1e-3)
    expected = Predictor.load(exact=True).predict([page / golden.file for golden in card.golden])
    assert [answer["label"] for answer in answers] == [row.label for row in expected if isinstance(row, Prediction)]
    unsure = [answer for answer in answers if answer["label"] == "unsure"]
    assert unsure
    assert all(answer["verdict"] == "Unsure" and "the answer is unsure" in answer["reason"] for answer in unsure)
    requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [row["params"]["request"]["url"] for row in requests if row["method"] == "Network.requestWillBeSent"]
    assert any(url.endswith("model.onnx") for url in urls)
    assert {urlsplit(url).hostname for url in urls if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_real_photographs_get_the_bundles_answers(opened: tuple[Driver, Server], test_data: Path) -> None:
    driver, _ = opened
    photos = sorted((test_data / "photos").glob("*/*.jpg"))[::20]
    answers = _choose(driver, *photos)
    expected = Predictor.load(exact=True).predict(photos)
    rows = [row for row in expected if isinstance(row, Prediction)]
    differences = [abs(a["probability"] - row.probabilities["dog"]) for a, row in zip(answers, rows, strict=True)]
    assert len(rows) == 10
    assert max(differences) < 0.1  # a last bit here and there, of JPEGs that Pillow reduces while it decodes them
    assert np.median(differences) < 1e-3


@pytest.mark.parametrize(("width", "height", "size"), SHAPES)
def test_pixels_are_pillows_to_the_last_bit(other_file: Driver, width: int, height: int, size: int) -> None:
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    np.testing.assert_array_equal(_pixels(other_file, data, "noise.png", size), decode(data, "noise.png", size))


@pytest.mark.parametrize("size", [(640, 480), (333, 500), (1301, 977)])
def test_a_large_jpeg_is_reduced_as_by_the_decoder(other_file: Driver, size: tuple[int, int]) -> None:
    data = encoded(draw("dog", 3, 500).resize(size), "JPEG", quality=92, subsampling=0)
    ours, theirs = _pixels(other_file, data, "dog.jpg", 160).astype(int), decode(data, "dog.jpg", 160).astype(int)
    assert np.abs(ours - theirs).max() <= 2  # roundings on the way from a JPEG's colors
    assert np.abs(ours - theirs).mean() < 0.5


def test_orientation_transparency_and_profiles_are_treated_as_by_the_decoder(other_file: Driver) -> None:
    picture = draw("cat", 1, 90).resize((150, 90))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture, "JPEG", quality=95, exif=exif)
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    # A profile that swaps red and blue: a decoder that applies it gives other pixels.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    for data in (turned, encoded(clear, "PNG"), encoded(picture, "PNG", icc_profile=swapped)):
        ours, theirs = _pixels(other_file, data, "picture", 64).astype(int), decode(data, "picture", 64).astype(int)
        assert np.abs(ours - theirs).max() <= 2


def test_names_are_text_and_bad_files_are_reported(opened: tuple[Driver, Server], page: Path, tmp_path: Path) -> None:
    driver, _ = opened
    hostile = tmp_path / "<img src=x onerror=document.title='taken'>.png"
    shutil.copy(page / "golden/4.png", hostile)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    names = (hostile.name, "empty.jpg", "text.png", "phone.heic")
    good, empty, text, heic = _choose(driver, *(tmp_path / name for name in names))
    assert good["name"] == hostile.name
    assert good["label"] == "dog"
    assert driver.execute_script("return document.querySelectorAll('#answers img').length") == 0
    assert driver.title == "Cat or dog?"
    assert empty["reason"] == "The file is empty."
    assert text["reason"] == "This browser cannot read the file as a photo."
    assert "convert it to JPEG" in heic["reason"]
    assert [row["verdict"] for row in (empty, text, heic)] == ["No answer"] * 3


def test_pictures_can_be_dropped_and_pasted(opened: tuple[Driver, Server]) -> None:
    driver, _ = opened
    script = """
        const [kind, finish] = arguments;
        fetch("golden/4.png").then((response) => response.blob()).then((blob) => {
          const data = new DataTransfer();
          data.items.add(new File([blob], `${kind}.png`, { type: "image/png" }));
          const settings = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(kind === "drop" ? new DragEvent("drop", { dataTransfer: data, ...settings })
            : new ClipboardEvent("paste", { clipboardData: data, ...settings }));
          finish();
        });"""
    for kind in ("drop", "paste"):
        driver.execute_async_script(script, kind)
    answers = _cards(driver, 2)
    assert [(row["name"], row["label"]) for row in answers] == [("drop.png", "dog"), ("paste.png", "dog")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(opened: tuple[Driver, Server], page: Path, scheme: str) -> None:
    from axe_core_python.selenium import Axe
    from selenium.webdriver.common.keys import Keys

    driver, _ = opened
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    _choose(driver, page / "golden/1.png", page / "golden/4.png", page / "README.md")
    driver.find_element("tag name", "summary").click()
    assert "photos that it was not trained on" in _text(driver, "#about-text")
    assert [(row["id"], row["nodes"][0]["html"]) for row in Axe().run(driver)["violations"]] == []
    focused = []
    driver.execute_script(
        "document.activeElement.blur(); window.getSelection().removeAllRanges(); window.scrollTo(0, 0)"
    )
    for _ in range(4):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        focused.append(driver.execute_script("return document.activeElement.id || document.activeElement.tagName"))
    assert {"choose", "SUMMARY"} <= set(focused)
    for width in (320, 1200):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_more_threads_where_the_server_allows_them_give_the_same_answer(driver: Driver, page: Path) -> None:
    server = Server(page, isolated=True)
    try:
        _open(driver, server)
        assert driver.execute_script("return crossOriginIsolated") is True
        (answer,) = _choose(driver, page / "golden/4.png")
        assert answer["probability"] == pytest.approx(load_bundle().card.golden[3].probabilities["dog"], abs=1e-3)
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    finally:
        server.stop()


def test_a_page_opened_as_a_file_says_what_to_do(driver: Driver, page: Path) -> None:
    driver.get((page / "index.html").as_uri())
    assert "was opened as a file, without a web server" in _text(driver, "#status")
