"""The page, in a real browser without a window."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from dogvscat.bundle.predict.predictor import Predictor
from tests.helpers import LinearBundle, Serve, metrics_with, plain_png
from tests.service.browser_page import BrowserPage

BRING = """
const [name, kind, data, event] = arguments;
const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
const carried = new DataTransfer();
carried.items.add(new File([bytes], name, { type: kind }));
if (event === "drop") {
  document.dispatchEvent(new DragEvent("dragenter", { dataTransfer: carried, bubbles: true }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
} else {
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
}
"""
HOSTILE = [
    "<script>document.title = 'taken over'</script>.jpg",
    "<img src=x onerror=\"document.title = 'taken over'\">.jpg",
    '"><svg onload="document.title = \'taken over\'">.jpg',
    "javascript:document.title='taken over'",
    "\u202egpj.exe.jpg",
]


class Page(BrowserPage):
    """The page of the service."""

    def open(self, url: str) -> None:
        self.browser.get(f"{url}/")
        self.wait(lambda: self.find("#about-content section") or self.find("#about-error:not([hidden])"))

    def bring(self, picture: bytes, name: str = "photo.jpg", event: str = "drop", kind: str = "image/jpeg") -> None:
        self.browser.execute_script(BRING, name, kind, base64.b64encode(picture).decode(), event)

    def cards(self, number: int) -> list[WebElement]:
        """That many cards, once each has an answer or an error."""
        finished = ".card:is([data-state=answered], [data-state=failed])"
        self.wait(lambda: len(self.find(finished)) == number)
        return self.find(finished)

    def errors(self) -> list[str]:
        """What the console complains about, but for statuses of refused pictures, which the browser always names."""
        lines = [entry["message"] for entry in self.browser.get_log("browser")]
        return [line for line in lines if not re.search(r"api/v1/predict.* status of 4\d\d", line)]


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Chrome]) -> Chrome:
    return chromium(browser="ALL")


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    """The page; whatever a test does with it, the console stays empty."""
    page = Page(browser)
    page.media()
    yield page
    assert page.errors() == []


def test_a_dropped_photograph_is_answered_and_explained(page: Page, best, photographs: list[Path]) -> None:
    page.open(best.url)
    photo = photographs[-1].read_bytes()
    page.bring(photo, "rex.jpg")
    (answer,) = page.cards(1)
    expected, card = best.predict(photo).json()["predictions"][0], Predictor.load().card
    words = {"cat": "a cat", "dog": "a dog", "unsure": "Not sure"}[expected["label"]]
    assert words in page.text(".verdict")
    labels = f"cat {100 * expected['probabilities']['cat']:.1f}%\ndog {100 * expected['probabilities']['dog']:.1f}%"
    assert page.text(".bar-labels") == labels.replace("0.0%", "under 0.1%").replace("100.0%", "over 99.9%")
    assert page.text(".name") == "rex.jpg"
    assert page.text("#summary").startswith("1 photo: ")
    toggle, heat_map = page.one(".heat-map-toggle"), page.one(".heat-map")
    assert not heat_map.is_displayed()
    toggle.click()
    page.wait(lambda: toggle.get_attribute("aria-pressed") == "true")
    page.wait(lambda: page.browser.execute_script("return arguments[0].naturalWidth", heat_map) == card.image_size)
    assert heat_map.is_displayed()
    assert heat_map.rect == page.one(".photo-image").rect  # it lies exactly over the photo
    nearer = "a dog" if expected["probabilities"]["dog"] >= card.threshold else "a cat"
    assert page.text(".legend") == f"Bright areas are the strongest evidence for {nearer}."
    toggle.click()
    assert not heat_map.is_displayed()
    assert answer.get_attribute("data-answer") in ("negative", "positive", "unsure")


def test_the_panel_has_the_model_cards_figures(page: Page, best) -> None:
    page.open(best.url)
    page.one("#about summary").click()
    model = best.client.get("/api/v1/model").json()
    accuracy = model["metrics"]["validation"]["accuracy"]
    text = page.text("#about-content")
    assert f"{100 * accuracy['value']:.1f}%" in text
    assert f"{100 * accuracy['low']:.1f}% to {100 * accuracy['high']:.1f}%" in text
    assert model["known_failures"][0] in text
    assert "20,000 labeled photos" in text


def test_pasting_choosing_and_photographing(page: Page, linear, tmp_path: Path) -> None:
    page.open(linear.url)
    page.bring(plain_png((255, 0, 0)), "image.png", event="paste")
    assert "a dog" in page.cards(1)[0].text
    for number, field in enumerate(("#chosen-files", "#taken-photo")):
        file = tmp_path / f"{number}.png"
        file.write_bytes(plain_png((0, 0, 255)))
        page.one(field).send_keys(str(file))
    assert [card.get_attribute("data-label") for card in page.cards(3)] == ["dog", "cat", "cat"]
    assert page.one("#taken-photo").get_attribute("capture") == "environment"
    assert page.text("#summary") == "3 photos: cat 2, dog 1"
    page.one("#clear").click()
    assert not page.find(".card")
    page.browser.execute_script(BRING.replace("carried.items.add(new File", "void (new File"), "", "", "", "paste")
    assert "no picture in the clipboard" in page.text("#warning")


def test_twenty_at_once(page: Page, linear, tmp_path: Path) -> None:
    page.open(linear.url)
    colors = [(255, 0, 0), (0, 0, 255)]
    files = [tmp_path / f"{number:02d}.png" for number in range(20)]
    for number, file in enumerate(files):
        file.write_bytes(b"no picture" if number % 10 == 9 else plain_png(colors[number % 2]))
    page.one("#chosen-files").send_keys("\n".join(map(str, files)))
    cards = page.cards(20)
    assert [card.get_attribute("data-label") or "failed" for card in cards] == (
        ["dog", "cat"] * 4 + ["dog", "failed"]
    ) * 2
    assert [card.find_element(By.CLASS_NAME, "name").text for card in cards] == [file.name for file in files]
    assert page.text("#summary") == "20 photos: cat 8, dog 10, no answer 2"
    assert "This file is not a picture of a known format. Photos may be JPEG" in cards[9].text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(page: Page, linear, name: str) -> None:
    page.open(linear.url)
    page.bring(plain_png((255, 0, 0)), name)
    page.bring(b"<script>document.title = 'taken over'</script>", name, kind="text/html")
    good, bad = page.cards(2)
    shown = "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in name)
    for card in (good, bad):
        element = card.find_element(By.CLASS_NAME, "name")
        assert page.browser.execute_script("return arguments[0].textContent", element) == shown
        assert element.find_elements(By.CSS_SELECTOR, "*") == []
    assert page.browser.title == "Dog or cat?"
    assert not page.find("main script, main svg")


def test_a_file_that_is_too_large_is_not_even_sent(page: Page, linear) -> None:
    page.open(linear.url)
    received = linear.metrics()["dogvscat_requests_received_total"]
    page.bring(plain_png((255, 0, 0)) + bytes(2**20), "large.png")
    (card,) = page.cards(1)
    assert "Too large" in card.text
    assert "This file has 1.0 MB; at most 1.0 MB are read." in card.text
    assert linear.metrics()["dogvscat_requests_received_total"] == received + 1  # which only asked for the metrics


def test_unsure_is_explained(page: Page, serve, linear_bundle: LinearBundle, tmp_path: Path) -> None:
    server = serve("--model", linear_bundle(tmp_path / "doubtful", unsure=(0.1, 0.9)))
    page.open(server.url)
    page.bring(plain_png((90, 7, 90)))
    (card,) = page.cards(1)
    assert "Not sure" in card.text
    assert "Too close to call: with a probability of dog between 10.0% and 90.0% the answer is “unsure”." in card.text


def test_a_network_at_chance_is_marked(page: Page, serve: Serve, linear_bundle: LinearBundle, tmp_path: Path) -> None:
    page.open(serve("--model", linear_bundle(tmp_path / "guesses", metrics=metrics_with(0.4))).url)
    page.wait(lambda: "no better than guessing" in page.text("#warning"))
    page.bring(plain_png("red"))
    (card,) = page.cards(1)
    assert "Not sure" in card.text
    assert "This network is no better than guessing, so it answers neither cat nor dog." in card.text
    assert "no better than guessing" in page.text("#warning")  # it stays when photos are added
    page.one("#about summary").click()
    assert "The answer is always “unsure”" in page.text("#about-content")


def test_a_photograph_that_shows_neither_is_explained(page: Page, best, test_data: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(test_data / "neither.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")]
        photos = (archive.read(name) for name in names)
        limit = best.client.get("/api/v1/model").json()["neither_limit"]
        photo = next(photo for photo in photos if best.predict(photo).json()["predictions"][0]["neither"] > limit)
    page.open(best.url)
    page.bring(photo)
    assert "The photo seems to show neither a cat nor a dog" in page.cards(1)[0].text


def test_without_the_server_each_picture_says_so(page: Page, serve, untouched_bundle: Path) -> None:
    server = serve("--model", untouched_bundle)
    page.open(server.url)
    server.stop()
    page.bring(plain_png((255, 0, 0)))
    (card,) = page.cards(1)
    assert "The server cannot be reached. Is it still running?" in card.text
    assert page.one(".retry").is_displayed()
    assert page.errors()  # the browser's own words about the connection; nothing else is left for the fixture


def test_a_visitor_without_a_photo_tries_a_golden_picture(page: Page, best) -> None:
    page.open(best.url)
    buttons, golden = page.find(".golden button"), Predictor.load().card.golden
    assert len(buttons) == len(golden)
    buttons[3].click()
    (card,) = page.cards(1)
    assert card.get_attribute("data-label") == golden[3].label
    assert page.text(".name") == "4.png"


def test_a_busy_server_is_asked_again(page: Page, serve, drawn: list[bytes], tmp_path: Path) -> None:
    server = serve("--queue", 1)
    page.open(server.url)
    files = [tmp_path / f"{number}.jpg" for number in range(6)]
    for number, file in enumerate(files):
        file.write_bytes(drawn[number % 4])
    page.one("#chosen-files").send_keys("\n".join(map(str, files)))
    assert {card.get_attribute("data-state") for card in page.cards(6)} == {"answered"}
    refused = 'dogvscat_requests_total{code="429",outcome="shed"}'
    assert server.metrics()[refused] > 0  # three are in flight, one may wait


def test_a_token_is_asked_for_and_used(page: Page, serve: Serve, untouched_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text("a-token-of-23-characters")
    page.open(serve("--model", untouched_bundle, "--token-file", file).url)
    assert page.one("#token-form").is_displayed()
    page.bring(plain_png((255, 0, 0)))
    assert "Token required" in page.cards(1)[0].text
    assert Axe().run(page.browser)["violations"] == []
    page.one("#token").send_keys("a-token-of-24-characters", Keys.ENTER)
    page.wait(lambda: "does not know this token" in page.text("#token-form"))
    page.one("#token").send_keys("a-token-of-23-characters", Keys.ENTER)
    page.wait(lambda: not page.one("#token-form").is_displayed())
    page.wait(lambda: page.find("#about-content section"))
    page.one(".retry").click()
    page.wait(lambda: page.find(".card[data-state=answered]"))
    assert page.errors()  # the browser's own words about the model's status 401


def test_by_keyboard_alone(page: Page, linear) -> None:
    page.open(linear.url)
    active = lambda: page.browser.switch_to.active_element  # noqa: E731
    page.one("body").send_keys(Keys.TAB)
    assert active().get_attribute("id") == "choose-photos"
    page.bring(plain_png((255, 0, 0)))
    page.cards(1)
    reached = []
    for _ in range(4):
        active().send_keys(Keys.TAB)
        reached.append(active().text)
    assert reached == ["Clear", "Heat map", "How it works and how accurate it is", "openapi.json"]
    active().send_keys(Keys.SHIFT, Keys.TAB)
    page.one(".heat-map-toggle").send_keys(Keys.ENTER)
    page.wait(lambda: page.one(".heat-map-toggle").get_attribute("aria-pressed") == "true")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
def test_accessible_and_whole_at_any_width(page: Page, best, drawn: list[bytes], width: int, dark: bool) -> None:
    page.media(width, dark)
    page.open(best.url)
    assert Axe().run(page.browser)["violations"] == []
    for number, picture in enumerate([*drawn[:2], b"no picture"]):
        page.bring(picture, "a very long name without any place to break it" * 3 + f"{number}.jpg")
    page.cards(3)
    page.find(".heat-map-toggle")[0].click()
    page.wait(lambda: page.find(".heat-map:not([hidden])"))
    page.one("#about summary").click()
    assert Axe().run(page.browser)["violations"] == []
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.one("#take-photo").is_displayed() == (width == 390)


def test_the_policy_holds(page: Page, linear) -> None:
    """Even if somebody got markup into the page, no script of theirs would run and nothing would be fetched."""
    page.open(linear.url)
    page.browser.execute_script(
        "const script = document.createElement('script'); script.textContent = 'document.title = \"taken over\"';"
        "document.body.append(script); document.body.insertAdjacentHTML('beforeend',"
        '\'<img src="http://127.0.0.1:1/x.png" onerror="document.title = 1"><p style="color: red">x</p>\');'
    )
    page.wait(lambda: len(page.browser.get_log("browser")) > 0)
    assert page.browser.title == "Dog or cat?"
    page.browser.get("about:blank")
    page.errors()  # those were the browser's refusals
