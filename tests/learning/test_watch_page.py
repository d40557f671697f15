"""The page of `train --watch` in a real browser, with the figures of a training handed to it epoch by epoch."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogvscat.config import Config
from dogvscat.errors import DivergedError, Interrupted, UsageError
from dogvscat.learning.data.dataset import Dataset
from dogvscat.learning.environment import InputPaths
from dogvscat.learning.inputs import read_dataset
from dogvscat.learning.loop.checkpoint import TrainingState
from dogvscat.learning.monitor.live_page import LivePage, PageObserver
from dogvscat.learning.run import Run
from dogvscat.settings.resolve import resolve_config

pytest.importorskip("selenium")
from axe_core_python.selenium import Axe
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

STEPS = 10
CONFIG = resolve_config("classic", None, ["data.image_size=32", "training.epochs=4"])


@pytest.fixture(scope="module")
def dataset(drawn_photos: Path) -> Dataset:
    return read_dataset(InputPaths(drawn_photos), None, CONFIG, lambda sentence: None)[0]


class LiveTraining:
    """Hands figures to a page as the loop does."""

    def __init__(self, dataset: Dataset, folder: Path, config: Config = CONFIG) -> None:
        self.page, self.dataset, self.config = LivePage(0), dataset, config
        self.run, self.state = Run(folder), TrainingState()
        self.observer: PageObserver | None = None
        self.is_closed = False

    def open(self) -> "LiveTraining":
        self.observer = self.page.open_training(self.run, self.config, self.dataset, STEPS, self.state)
        return self

    def steps(self, count: int) -> None:
        assert self.observer
        for _ in range(count):
            self.state.add_step(32, 0.5, 0.75, 1e-3)
            self.state.epoch_seconds += 2.0
            self.observer.show_step(self.state)

    def finish_epoch(self, logits: np.ndarray | None = None) -> None:
        assert self.observer
        epoch = self.state.epoch + 1
        row = {"epoch": epoch, "loss": 0.7 / epoch, "accuracy": 0.6, "val_loss": 0.6, "val_accuracy": 0.8}
        self.state.finish_epoch({**row, "learning_rate": 1e-3, "seconds": 21.0}, self.config.training)
        size = len(self.dataset.images["validation"])
        self.observer.show_epoch(self.state, np.linspace(-2, 2, size) if logits is None else logits)

    def close(self, error: BaseException | None = None) -> None:
        self.page.close(error)
        self.is_closed = True


@pytest.fixture
def live(dataset: Dataset, tmp_path: Path) -> Iterator[LiveTraining]:
    training = LiveTraining(dataset, tmp_path / "run")
    yield training
    if not training.is_closed:
        training.close()


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Any]) -> Any:
    return chromium(browser="ALL")


@pytest.fixture
def visit(browser: Any, live: LiveTraining) -> Iterator[Callable[..., Any]]:
    """Opens the page; at the end, the console has no errors."""

    def open_page(width: int = 1200, dark: bool = False) -> Any:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(live.page.url)
        return browser

    yield open_page
    if not live.is_closed:
        live.close()
        wait_for_phase(browser, "finished")
    errors = [
        entry["message"] for entry in browser.get_log("browser") if "ERR_CONNECTION_REFUSED" not in entry["message"]
    ]
    assert errors == []


def text(browser: Any, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def wait_for(browser: Any, condition: Callable[[], Any]) -> Any:
    return WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: condition())


def wait_for_phase(browser: Any, phase: str) -> None:
    wait_for(browser, lambda: browser.find_elements(By.CSS_SELECTOR, f'body[data-phase="{phase}"]'))


def get(live: LiveTraining, path: str, host: str | None = None) -> tuple[int, bytes, str]:
    address = live.page.url.removeprefix("http://")
    connection = HTTPConnection(address, timeout=30)
    connection.request("GET", path, headers={"Host": host or address})
    response = connection.getresponse()
    body = response.read() if path != "/events" else response.fp.readline()
    connection.close()
    return response.status, body, response.headers.get("Content-Type", "")


def test_the_page_follows_a_training_to_its_end(visit: Callable[..., Any], live: LiveTraining) -> None:
    browser = visit()
    live.page.show_message("Decoding <b>photos</b>")
    wait_for(browser, lambda: text(browser, "#message") == "Decoding <b>photos</b>")
    assert text(browser, "#headline") == "Preparing"
    live.open()
    live.steps(5)
    wait_for(browser, lambda: "step 5 of 10" in text(browser, "#this-epoch"))
    assert text(browser, "#headline") == "Epoch 1 of 4"
    assert text(browser, "#time-left").startswith("70 s")  # 2 s per step; 5 + 3 x 10 steps remain
    live.steps(5)
    live.finish_epoch()
    wait_for(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "#epochs tr")) == 1)
    assert text(browser, "#accuracy").startswith("80.0%")
    assert text(browser, "#time-left").startswith("63 s")
    for _ in range(3):
        live.finish_epoch()
    wait_for_phase(browser, "evaluating")
    live.close()
    wait_for_phase(browser, "finished")
    assert text(browser, "#headline") == "Finished after 4 epochs"
    assert text(browser, "#report-path") == str(live.run.report_file.resolve())
    assert browser.execute_script("return document.getElementById('progress').value") == 1
    assert not browser.find_element(By.ID, "pause").is_displayed()


def test_the_mistakes_are_those_of_the_last_epoch_with_their_photos(
    visit: Callable[..., Any], live: LiveTraining
) -> None:
    browser = visit()
    live.open()
    images = live.dataset.images["validation"]
    rows = live.dataset.manifest.of_split("validation")
    logits = np.where(images.y_true == 1, 1.0, -1.0) * np.arange(1, len(images) + 1)
    live.finish_epoch(-logits)  # everything is wrong
    wait_for(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "#pictures li")) == len(images))
    assert text(browser, "#pictures li:first-child small") == rows[-1].path  # the surest one
    logits[1] *= -1
    live.finish_epoch(logits)
    wait_for(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "#pictures li")) == 1)
    answer = "cat" if images.y_true[1] else "dog"
    probability = 100 / (1 + np.exp(-2))
    assert text(browser, "#pictures p").splitlines()[0] == f"{rows[1].label}, answered {answer} ({probability:.1f}%)"
    assert f"After epoch 2, 1 of {len(images)} validation photos" in text(browser, "#mistakes-summary")
    picture = browser.find_element(By.CSS_SELECTOR, "#pictures img")
    wait_for(browser, lambda: browser.execute_script("return arguments[0].naturalWidth", picture) == 32)
    _, body, media_type = get(live, "/pictures/1.png")
    assert media_type == "image/png"
    assert np.array_equal(np.asarray(Image.open(BytesIO(body))), images.pixels(np.array([1]), 32)[0])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
def test_accessible_and_whole_at_any_width(
    visit: Callable[..., Any], live: LiveTraining, width: int, dark: bool
) -> None:
    browser = visit(width, dark)
    assert Axe().run(browser)["violations"] == []
    live.page.show_message("a message without any place to break it".replace(" ", "_") * 4)
    live.open()
    live.finish_epoch()
    live.finish_epoch()
    live.steps(6)
    wait_for(browser, lambda: "step 6" in text(browser, "#this-epoch"))
    browser.find_element(By.TAG_NAME, "summary").click()
    assert Axe().run(browser)["violations"] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    labels = [svg.get_attribute("aria-label") for svg in browser.find_elements(By.TAG_NAME, "svg")]
    assert labels[:2] == [
        "Loss over 2 epochs: training 0.35, validation 0.6, best epoch 1",
        "Accuracy over 2 epochs: training 60%, validation 80%, best epoch 1",
    ]
    live.close(Interrupted("stopped in epoch 3 after step 6; nothing is lost", hint="Continue with: dogvscat"))
    wait_for_phase(browser, "stopped")
    assert Axe().run(browser)["violations"] == []
    assert text(browser, "#message") == "stopped in epoch 3 after step 6; nothing is lost Continue with: dogvscat"


def test_by_keyboard(visit: Callable[..., Any], live: LiveTraining) -> None:
    browser = visit()
    live.open()
    live.finish_epoch()
    wait_for(browser, lambda: browser.find_element(By.ID, "mistakes").is_displayed())
    active = lambda: browser.switch_to.active_element  # noqa: E731
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert active().get_attribute("id") == "pause"
    active().send_keys(Keys.ENTER)
    assert active().get_attribute("aria-pressed") == "true"
    live.finish_epoch()
    live.page.show_message("not seen while paused")
    active().send_keys(Keys.TAB)
    assert active().text == "Every epoch as a table"
    active().send_keys(Keys.ENTER)
    active().send_keys(Keys.TAB)
    assert active().get_attribute("aria-label") == "Every epoch"  # scrolls by arrow keys
    assert len(browser.find_elements(By.CSS_SELECTOR, "#epochs tr")) == 1
    browser.find_element(By.ID, "pause").send_keys(Keys.SPACE)
    wait_for(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "#epochs tr")) == 2)


def test_a_training_that_fails_says_why(visit: Callable[..., Any], live: LiveTraining) -> None:
    browser = visit()
    live.open()
    live.close(DivergedError("the loss became nan", hint="Start again with smaller steps"))
    wait_for_phase(browser, "failed")
    assert text(browser, "#message") == "the loss became nan Start again with smaller steps"


def test_a_taken_port_is_one_sentence(live: LiveTraining) -> None:
    port = int(live.page.url.rpartition(":")[2])
    with pytest.raises(UsageError, match=f"^cannot listen at 127.0.0.1 port {port}: Address already in use$") as error:
        LivePage(port)
    assert error.value.hint == "Choose another --port, or 0 for any that is free."


def test_only_this_machine_and_no_other_website_reads_the_photos(live: LiveTraining) -> None:
    live.open()
    assert get(live, "/pictures/0.png")[0] == 200
    for path in ("/", "/events", "/pictures/0.png"):
        assert get(live, path, host="attacker.example:80")[0] == 403  # a foreign name for this address
    for path in ("/pictures/99999.png", "/pictures/-1.png", "/pictures/1.png/", "/pictures/../0.png", "/page.py"):
        assert get(live, path)[0] == 404
    with pytest.raises(OSError, match="refused"):  # other addresses of this machine do not answer
        socket.create_connection(("127.0.0.2", int(live.page.url.rpartition(":")[2])), timeout=5)


def test_the_page_names_no_other_server() -> None:
    folder = Path(__file__).parents[2] / "src" / "dogvscat" / "learning" / "monitor" / "page"
    addresses = {
        address
        for file in folder.iterdir()
        for address in re.findall(r"https?://[^\"'\s]+", file.read_text(encoding="utf-8"))
    }
    assert addresses == {"http://www.w3.org/2000/svg"}  # a namespace, which is not fetched


def test_a_stream_that_starts_late_gets_everything_at_once(live: LiveTraining) -> None:
    live.open()
    live.finish_epoch()
    _, line, media_type = get(live, "/events")
    document = json.loads(line.removeprefix(b"data: "))
    assert media_type == "text/event-stream"
    assert document["history"] == live.state.history
    assert document["seconds_left"] == 63.0
