"""The page of a network in a real Chromium, opened as a file: its numbers, answers, keyboard and messages."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogvscat import caches
from dogvscat.bundle.card import Provenance
from dogvscat.bundle.export import onnxruntime_web as ort_web
from dogvscat.bundle.export.folder import write_export
from dogvscat.bundle.export.formats import LAYERS
from dogvscat.bundle.export.parity import ParityImages
from dogvscat.bundle.folder import Bundle, load_bundle
from dogvscat.bundle.predict.heat_map import heat_maps
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.bundle.visualization.page import make_page
from dogvscat.network.receptive_fields import receptive_fields
from dogvscat.photos.decoding.decoder import decode_photo
from dogvscat.photos.drawing.sample import draw
from tests.bundle.networks import NETWORKS, SIZE, operations_of, publish_random
from tests.helpers import encoded

selenium = pytest.importorskip("selenium.webdriver")

pytestmark = pytest.mark.slow
Driver = Any

NUMBERS = """
// For random numbers of each operation: how far its parts are from making it.
const { computation } = current;
const functions = {
  relu: (x) => Math.max(0, x), leaky_relu: (x) => (x < 0 ? 0.1 * x : x), elu: (x) => (x < 0 ? Math.expm1(x) : x),
  silu: (x) => x * sigmoid(x), sigmoid,
};
const errors = {};
let seed = 1;
const random = (count) => (seed = (seed * 48271) % 2147483647) % count;
for (const [operation, { kind, is_identity: isIdentity }] of Object.entries(NETWORK.operations)) {
  const { rows, columns, channels } = computation.shape(operation);
  for (let i = 0; i < 12; i++) {
    const number = { operation, channel: random(channels), row: random(rows), column: random(columns) };
    const { rule, parts, bias } = partsOf(computation, number);
    const products = parts.map(({ product }) => product);
    const sum = products.reduce((total, product) => total + product, bias);
    const expected = { sum, largest: Math.max(...products), product: products[0], same: products[0],
      function: rule === "function" ? functions[kind](products[0]) : NaN }[rule];
    const error = Math.abs(computation.value(number) - expected) / (1 + Math.abs(expected));
    errors[operation] = Math.max(errors[operation] ?? 0, Number.isFinite(error) ? error : 1e9);
  }
}
return errors;
"""
PATHS = """
// Of the strongest numbers of each operation: is each number on a path an input of the next, and where does it end?
const { computation } = current;
return Object.keys(NETWORK.operations).map((operation) => {
  const { numbers, reachesAnswer } = pathThrough(computation, strongestPlaces(computation, operation, 0)[0]);
  const isConnected = numbers.slice(1).every((number, i) =>
    partsOf(computation, number).parts.some((part) => isSameNumber(part.number, numbers[i])));
  return { operation, isConnected, reachesAnswer, start: numbers[0].operation, end: numbers.at(-1).operation };
});
"""


@pytest.fixture(scope="module")
def make(
    _onnxruntime_web_archive: Path, tmp_path_factory: pytest.TempPathFactory, no_provenance: Provenance
) -> Callable[[str], tuple[Bundle, Path]]:
    """A tiny network and its page, compared on its golden pictures only, which saves time; made once for each name."""
    root = tmp_path_factory.mktemp("pages")

    def make(name: str) -> tuple[Bundle, Path]:
        folder, out = root / name / "bundle", root / name / "page"
        if not folder.exists():
            publish_random(folder, NETWORKS[name], no_provenance)
        bundle = load_bundle(folder)
        if not out.exists():
            pixels = golden_pixels(bundle)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DOGVSCAT_HOME", str(root / "home"))
                if not ort_web.archive_path().exists():
                    caches.folder("archives").mkdir(parents=True)
                    ort_web.archive_path().symlink_to(_onnxruntime_web_archive)
                images = ParityImages(pixels, Predictor(bundle).logits(pixels), len(pixels), 0, 0)
                write_export(out, bundle, LAYERS, images, make_page(bundle, pixels))
        return bundle, out

    return make


@pytest.fixture(scope="module")
def driver(chromium: Callable[..., Driver]) -> Driver:
    """A headless Chromium that can resolve no name and notes down every request."""
    browser = chromium("window-size=1200,900", "host-resolver-rules=MAP * ~NOTFOUND", performance="ALL", browser="ALL")
    browser.set_script_timeout(60)
    return browser


@pytest.fixture
def opened(driver: Driver, make: Callable[[str], tuple[Bundle, Path]]) -> tuple[Driver, Bundle, Path]:
    """The page of the network that is most like the bundled one, with an answer."""
    bundle, page = make("as best")
    _open(driver, page)
    _choose(driver, page / "golden/4.png")
    return driver, bundle, page


def golden_pixels(bundle: Bundle) -> np.ndarray:
    return np.stack([decode_photo(bundle.folder / golden.file, SIZE) for golden in bundle.card.golden])


def _open(driver: Driver, page: Path) -> None:
    """Open a page, unless it is open: loading ONNX Runtime takes seconds."""
    address = (page / "index.html").as_uri()
    if driver.current_url == address:
        driver.execute_script("byId('inspector').close(); hideHeatMap()")
        return
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(address)
    _wait(driver, lambda: "is loaded" in _text(driver, "#status"))


def _choose(driver: Driver, file: Path) -> dict[str, Any]:
    driver.execute_script("byId('status').textContent = ''")
    driver.find_element("id", "files").send_keys(str(file))
    _wait(driver, lambda: _text(driver, "#status").startswith(f"{file.name}: "))
    return dict(
        driver.execute_script("return { ...document.getElementById('card').dataset, status: byId('status').innerText }")
    )


def _wait(driver: Driver, condition: Callable[[], bool]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 60, 0.05).until(lambda _: condition())


def _text(driver: Driver, selector: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0]).innerText", selector))


@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_as_predict_and_its_numbers_add_up(
    name: str, driver: Driver, make: Callable[[str], tuple[Bundle, Path]]
) -> None:
    bundle, page = make(name)
    _open(driver, page)
    for golden in (bundle.card.golden[0], bundle.card.golden[3]):
        answer = _choose(driver, page / golden.file)
        assert float(answer["probability"]) == pytest.approx(golden.probabilities["dog"], abs=1e-3)
        assert answer["label"] == golden.label
    errors = driver.execute_script(NUMBERS)
    assert errors.keys() == {operation.name for operation in operations_of(name)}
    assert max(errors.values()) < 1e-4, errors
    paths = driver.execute_script(PATHS)
    assert all(path["isConnected"] and path["start"] == "pixels" for path in paths), paths
    assert all((path["end"] == "logit") == path["reachesAnswer"] for path in paths)
    assert {path["operation"] for path in paths if path["reachesAnswer"]} >= {"logit", "scaling"}


@pytest.mark.parametrize("name", NETWORKS)
def test_squares_are_those_of_the_description(
    name: str, driver: Driver, make: Callable[[str], tuple[Bundle, Path]]
) -> None:
    _, page = make(name)
    _open(driver, page)
    _choose(driver, page / "golden/1.png")
    for operation, field in receptive_fields(operations_of(name)).items():
        square = driver.execute_script(
            "return current.computation.receptiveField({ operation: arguments[0], row: 2, column: 1 })", operation
        )
        expected = field and {
            "top": field.start + 2 * field.step,
            "left": field.start + field.step,
            "side": field.side,
        }
        assert square == expected, operation


def test_it_needs_no_other_file_and_no_host(opened: tuple[Driver, Bundle, Path]) -> None:
    driver, _, page = opened
    driver.find_element("css selector", ".golden button:nth-of-type(2)").click()
    _wait(driver, lambda: _text(driver, "#status").startswith("drawing 2"))
    rows = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = {row["params"]["request"]["url"] for row in rows if row["method"] == "Network.requestWillBeSent"}
    assert urls
    outside = [url[:80] for url in urls if not url.startswith(("data:", "blob:", page.as_uri()))]
    assert outside == []
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_photos_of_other_shapes_get_the_answers_of_predict(opened: tuple[Driver, Bundle, Path], tmp_path: Path) -> None:
    driver, bundle, _ = opened
    for number, size in enumerate([(61, 90), (333, 200)]):
        photo = tmp_path / f"{number}.jpg"
        photo.write_bytes(encoded(draw("cat", number, 333).resize(size), "JPEG", quality=95, subsampling=0))
        (expected,) = Predictor(bundle).predict([photo])
        assert isinstance(expected, Prediction)
        answer = _choose(driver, photo)
        assert float(answer["probability"]) == pytest.approx(expected.probabilities["dog"], abs=0.02)


@pytest.mark.parametrize("name", ["as best", "features"])
def test_heat_maps_are_those_of_explain(name: str, driver: Driver, make: Callable[[str], tuple[Bundle, Path]]) -> None:
    """By class activation, and by hiding parts. The page enlarges linearly, `explain` by a cubic."""
    bundle, page = make(name)
    _open(driver, page)
    _choose(driver, page / "golden/4.png")
    driver.find_element("id", "heat-button").click()
    _wait(driver, lambda: driver.execute_script("return !byId('heat').hidden"))
    received = driver.execute_async_script(
        """const finish = arguments[0];
           networkLoaded.then(({ classifier }) => computeHeatMap(classifier, current.computation, current.answer,
             () => {})).then(({ heat }) => finish(Array.from(heat)));"""
    )
    (expected,) = heat_maps(Predictor(bundle), golden_pixels(bundle)[3:4])
    assert expected.any()
    assert np.corrcoef(received, expected.ravel())[0, 1] > 0.97
    assert ("class activation map" in _text(driver, "#heat-text")) == (name == "as best")


def test_files_that_are_no_photos_are_named(opened: tuple[Driver, Bundle, Path], tmp_path: Path) -> None:
    driver, _, page = opened
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("no picture")
    assert _choose(driver, tmp_path / "empty.jpg")["status"] == "empty.jpg: The file is empty."
    expected = "text.png: This browser cannot read the file as a photo."
    assert _choose(driver, tmp_path / "text.png")["status"] == expected
    hostile = tmp_path / "<img src=x onerror=document.title='taken'>.png"
    shutil.copy(page / "golden/4.png", hostile)
    _choose(driver, hostile)
    assert driver.execute_script("return document.querySelectorAll('#card img').length") == 0
    assert driver.title.startswith("Inside ")


def test_a_pasted_photo_is_shown(opened: tuple[Driver, Bundle, Path], tmp_path: Path) -> None:
    driver, _, _ = opened
    data = base64.b64encode(encoded(Image.new("RGB", (40, 30), "red"))).decode()
    script = """
        const bytes = Uint8Array.from(atob(arguments[0]), (character) => character.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], "red.png", { type: "image/png" }));
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));"""
    driver.execute_script(script, data)
    _wait(driver, lambda: _text(driver, "#status").startswith("red.png"))


def test_a_map_is_looked_at_by_keyboard(opened: tuple[Driver, Bundle, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    driver, _, _ = opened
    section = driver.find_element("xpath", "//section[h3='stem.conv1']")
    first, second = section.find_elements("css selector", ".map")[:2]
    assert (first.get_attribute("tabindex"), second.get_attribute("tabindex")) == ("0", "-1")
    driver.execute_script("arguments[0].focus()", first)
    driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert driver.switch_to.active_element == second
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert driver.execute_script("return byId('inspector').open")
    assert _text(driver, "#inspector-title") == "stem.conv1, map 2"
    row = driver.find_element("id", "row")
    row.clear()
    row.send_keys("3")
    assert "This number is" in _text(driver, "#position-text")
    assert "row 3" in _text(driver, "#path li[aria-current]")
    assert driver.execute_script("return byId('path').children.length") > 5
    driver.find_element("css selector", "#parts .link").click()
    assert _text(driver, "#inspector-title") != "stem.conv1, map 2"
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not driver.execute_script("return byId('inspector').open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(opened: tuple[Driver, Bundle, Path], scheme: str) -> None:
    from axe_core_python.selenium import Axe

    driver, _, _ = opened
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    driver.execute_script("byId('about').open = true")
    for is_open in (False, True):
        if is_open:
            driver.execute_script("document.querySelector('.layer:nth-child(3) .map').click()")
        violations = Axe().run(driver)["violations"]
        assert [(row["id"], row["nodes"][0]["html"]) for row in violations] == []
        for width in (320, 1200):
            metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            assert driver.execute_script("return byId('inspector').scrollWidth") <= width
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
