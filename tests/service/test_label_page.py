"""The page of `audit --labels --serve`, in a real browser: every decision, its file, and who may decide."""

import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from dogvscat.labels import LEAVE_OUT
from dogvscat.photos.relabel import Correction, read_corrections, write_corrections
from tests.helpers import Dogvscat, draw_photos
from tests.service.browser_page import BrowserPage

NAMES = ("cat", "dog")
MARKUP = "<img src=x onerror=\"document.title = 'taken over'\">.png"
NUM_SUSPECTS = 6

StartReview = Callable[..., "Review"]
"""`start_review(port=0)`: the command on the photos and the folder of the test."""


class Review:
    """A running `dogvscat audit --labels --serve`."""

    def __init__(self, photos: Path, out: Path, port: int = 0) -> None:
        options = ("--labels", "--serve", "--out", str(out), "--port", str(port))
        command = [sys.executable, "-m", "dogvscat", "audit", str(photos), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.communicate()
        self.client = httpx.Client(base_url=self.url, timeout=60)
        self.out = out

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def decisions(self) -> list[tuple[str, str]]:
        return [(row.path, row.suggestion) for row in read_corrections(self.out / "relabel.csv", NAMES)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Its exit code and what it wrote on stderr."""
        self.client.close()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


class LabelPage(BrowserPage):
    """The page that a reviewer sees."""

    def open(self, review: Review) -> None:
        self.browser.get(review.url)
        self.wait_for_photo()

    def wait_for_photo(self) -> None:
        self.wait(lambda: self.find("#image:not([hidden])") or self.find("#no-image:not([hidden])"))

    def press(self, key: str) -> None:
        """Press a key and wait for the next photo, or for the end."""
        before = self.text("#progress-text")
        self.one("body").send_keys(key)
        self.wait(lambda: self.text("#progress-text") != before)
        if not self.find("#finished:not([hidden])"):
            self.wait_for_photo()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cats and three dogs; one has a name that is markup. Do not change them: tests share them."""
    folder = draw_photos(tmp_path_factory.mktemp("suspected") / "photos", range(3), 64)
    (folder / "cat" / "1.png").rename(folder / "cat" / MARKUP)
    return folder


@pytest.fixture
def out(photos: Path, tmp_path: Path) -> Path:
    """A folder with proposals for all photos, as `audit --labels` leaves it."""
    rows = []
    for path in sorted(photos.rglob("*.png")):
        filed_as = path.parent.name
        suggestion = LEAVE_OUT if path.name == "2.png" else "dog" if filed_as == "cat" else "cat"
        probability = "" if suggestion == LEAVE_OUT else "0.9876"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(Correction(str(path.relative_to(photos)), digest, filed_as, suggestion, probability))
    write_corrections(tmp_path / "out" / "relabel.csv", rows)
    return tmp_path / "out"


@pytest.fixture
def start_review(photos: Path, out: Path) -> Iterator[StartReview]:
    running: list[Review] = []

    def start(folder: Path = photos, port: int = 0) -> Review:
        running.append(Review(folder, out, port))
        return running[-1]

    yield start
    for review in running:
        if review.process.poll() is None:
            review.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Chrome]) -> Chrome:
    return chromium(browser="ALL")


@pytest.fixture
def page(browser: Chrome) -> Iterator[LabelPage]:
    page = LabelPage(browser)
    page.media()
    browser.get_log("browser")
    yield page
    browser.get("about:blank")


def test_one_key_decides_each_photo(page: LabelPage, start_review: StartReview) -> None:
    review = start_review()
    page.open(review)
    assert page.text("#progress-text") == f"0 of {NUM_SUSPECTS} photos decided"
    assert page.text("#path") == "cat/0.png"
    assert page.text("#evidence") == "Filed as cat; networks that did not learn from this photo: cat 1.2%, dog 98.8%."
    assert [button.text.split("\n") for button in page.find("#choices button")] == [
        ["cat", "1"],
        ["dog", "2"],
        ["Leave out", "3"],
        ["Keep as cat", "4"],
    ]
    expected = [("cat/0.png", "dog"), ("cat/2.png", LEAVE_OUT), (f"cat/{MARKUP}", "cat"), ("dog/0.png", "cat")]
    for count, (key, outcome) in enumerate(
        [("2", "is dog now"), ("3", "left out"), ("4", "stays cat"), ("1", "is cat now")], start=1
    ):
        page.press(key)
        assert review.decisions() == expected[:count]
        assert page.text("#last") == f"{expected[count - 1][0]} {outcome}"
    assert page.one("#progress").get_property("value") == 4
    page.press("u")
    assert review.decisions() == expected[:3]
    assert page.text("#path") == "dog/0.png"
    for key in "444":
        page.press(key)
    assert page.text("#finished h2") == "Every photo is decided."
    assert page.text("#outcome") == "1 relabeled, 1 left out, 4 kept as filed."
    assert page.text("#command") == f"dogvscat train PHOTOS --relabel {review.out}/relabel.csv"
    assert not page.find("#choices:not([hidden])")
    page.press("u")
    assert page.text("#path") == "dog/2.png"
    assert page.browser.get_log("browser") == []
    code, errors = review.stop()
    assert code == 130
    assert f"5 of {NUM_SUSPECTS} photos decided: 1 relabeled, 1 left out, 3 kept." in errors
    assert "Traceback" not in errors


def test_a_killed_review_continues_where_it_was(page: LabelPage, start_review: StartReview) -> None:
    review = start_review()
    page.open(review)
    page.press("2")
    page.browser.refresh()
    page.wait_for_photo()
    assert page.text("#path") == "cat/2.png"
    review.stop(signal.SIGKILL)
    page.one("body").send_keys("3")
    page.wait(lambda: "does not answer" in page.text("#warning"))
    again = start_review(port=review.port)
    # The page of the killed command has an old token: it is loaded again, and the key decides nothing.
    page.one("body").send_keys("3")
    page.wait(lambda: not page.find("#warning:not([hidden])"))
    page.wait_for_photo()
    assert again.decisions() == [("cat/0.png", "dog")]
    page.press("3")
    page.press("u")
    page.press("u")
    assert again.decisions() == []
    assert page.text("#path") == "cat/0.png"


def test_two_windows_and_a_decision_that_cannot_be_written(page: LabelPage, start_review: StartReview) -> None:
    review = start_review()
    page.open(review)
    token = page.browser.execute_script("return document.querySelector('meta[name=token]').content")
    suspect = review.client.get("/state").json()["photo"]["sha256"]
    headers = {"X-Page-Token": token}
    assert review.client.post("/decisions", json={"sha256": suspect, "label": "dog"}, headers=headers).is_success
    page.one("body").send_keys("3")  # this window still shows the photo that the other one has decided
    page.wait(lambda: "another window" in page.text("#warning"))
    page.wait_for_photo()
    assert page.text("#path") == "cat/2.png"
    assert review.decisions() == [("cat/0.png", "dog")]
    table = (review.out / "relabel.csv").rename(review.out / "moved.csv")
    (review.out / "relabel.csv").mkdir()
    page.one("body").send_keys("3")
    page.wait(lambda: "Could not write" in page.text("#warning"))
    assert page.text("#path") == "cat/2.png"
    (review.out / "relabel.csv").rmdir()
    table.rename(review.out / "relabel.csv")
    page.press("3")
    assert review.decisions() == [("cat/0.png", "dog"), ("cat/2.png", LEAVE_OUT)]


def test_markup_in_a_name_is_only_text(page: LabelPage, start_review: StartReview) -> None:
    page.open(start_review())
    for key in "44":
        page.press(key)
    assert page.text("#path") == f"cat/{MARKUP}"
    page.press("4")
    assert MARKUP in page.text("#last")
    assert page.browser.title == "Which label is right?"
    assert len(page.find("main img")) == 1


def test_a_changed_or_missing_photo_is_never_shown_as_the_suspect(
    page: LabelPage, start_review: StartReview, photos: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(photos, tmp_path / "copy"))
    shutil.copy(copy / "dog" / "1.png", copy / "cat" / "0.png")
    (copy / "cat" / "2.png").unlink()
    review = start_review(copy)
    page.open(review)
    assert "the photo has changed since its label was checked" in page.text("#no-image")
    page.press("4")
    assert "the photo is not among the photos any more" in page.text("#no-image")
    page.press("3")
    assert review.decisions() == [("cat/0.png", "cat"), ("cat/2.png", LEAVE_OUT)]


def test_by_keyboard_and_without_the_keys(page: LabelPage, start_review: StartReview) -> None:
    review = start_review()
    page.open(review)
    active = lambda: page.browser.switch_to.active_element  # noqa: E731
    reached = []
    for _ in range(6):
        active().send_keys(Keys.TAB)
        reached.append(active().text.split("\n")[0] or active().get_attribute("id"))
    assert reached == ["cat", "dog", "Leave out", "Keep as cat", "Undo U", "keys"]
    active().send_keys(Keys.SPACE)
    page.one("body").send_keys("3")
    assert review.decisions() == []
    assert not page.find("kbd")[0].is_displayed()
    page.one("[data-choice=keep]").send_keys(Keys.ENTER)
    page.wait(lambda: page.text("#path") == "cat/2.png")
    assert active().get_attribute("data-choice") == "keep"  # the focus stays for the next photo
    assert review.decisions() == [("cat/0.png", "cat")]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
def test_accessible_and_whole_at_any_width(page: LabelPage, start_review: StartReview, width: int, dark: bool) -> None:
    page.media(width, dark)
    page.open(start_review())
    assert Axe().run(page.browser)["violations"] == []
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
    for button in page.find("#choices button"):
        assert button.rect["y"] + button.rect["height"] <= 900  # no scrolling to decide
    for _ in range(NUM_SUSPECTS):
        choice = page.one("[data-choice=keep]")
        before = page.text("#progress-text")
        choice.click()
        page.wait(partial(lambda text: page.text("#progress-text") != text, before))
        page.wait(lambda: page.find("#image:not([hidden])") or page.find("#finished:not([hidden])"))
    assert page.find("#finished:not([hidden])")
    assert Axe().run(page.browser)["violations"] == []
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_only_its_own_page_may_decide(start_review: StartReview) -> None:
    review = start_review()
    for host in ("localhost", f"localhost:{review.port}", "LOCALHOST:9000", "[::1]", f"127.0.0.1:{review.port}"):
        assert review.client.get("/state", headers={"Host": host}).status_code == 200
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "evil.example#localhost",
        "[::1",
    ):
        refused = review.client.get("/", headers={"Host": host})
        assert refused.status_code == 403
        assert "content" not in refused.text
    state = review.client.get("/state").json()
    body = {"sha256": state["photo"]["sha256"], "label": "dog"}
    for headers in ({}, {"X-Page-Token": ""}, {"X-Page-Token": "x" * 43}, {"Origin": review.url}):
        for path in ("/decisions", "/undo"):
            refused = review.client.post(path, json=body, headers=headers)
            assert refused.status_code == 403
            assert refused.headers["content-type"] == "application/problem+json"
            assert "access-control-allow-origin" not in refused.headers
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Headers": "x-page-token"}
    assert review.client.options("/decisions", headers=preflight).status_code == 403
    page = review.client.get("/")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert review.decisions() == []
    assert review.client.get("/photos/" + "0" * 64).status_code == 404


def test_a_path_that_leads_out_of_the_folder_is_not_read(
    start_review: StartReview, photos: Path, out: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(photos / "cat" / "0.png", secret)
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    write_corrections(out / "relabel.csv", [Correction(str(secret), digest, "cat", "dog", "0.9")])
    refused = start_review().client.get(f"/photos/{digest}")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_refusals_are_one_sentence(
    dogvscat: Dogvscat, start_review: StartReview, photos: Path, out: Path, tmp_path: Path
) -> None:
    review = start_review()

    def refused(*options: object) -> str:
        result = dogvscat("audit", photos, *options)
        assert result.returncode == 2
        assert not result.stdout
        (error, _hint) = result.stderr.splitlines()
        return error

    serve = ("--labels", "--serve", "--port", 0)
    assert refused(*serve, "--out", out) == f"error: another command is running in {out}"
    taken = refused("--labels", "--serve", "--out", tmp_path / "other", "--port", review.port)
    assert taken == f"error: cannot listen at 127.0.0.1 port {review.port}: Address already in use"
    assert refused("--serve", "--out", out) == "error: --serve needs --labels --out FOLDER"
    assert refused(*serve) == "error: --serve needs --labels --out FOLDER"
    for option in (["--json"], ["--fail-on", "any"]):
        assert "--serve is for a person" in refused(*serve, "--out", out, *option)


def test_two_sockets_of_one_port_cannot_both_listen() -> None:
    from dogvscat.errors import UsageError
    from dogvscat.service.sockets import bind, listen

    with bind("127.0.0.1", 0) as first:
        try:
            second: Any = bind("127.0.0.1", first.getsockname()[1])
        except UsageError:
            pytest.skip("this system does not bind two sockets to one port")
        with second:
            listen(first)
            with pytest.raises(UsageError, match="Address already in use"):
                listen(second)
