"""Redraw docs/pictures/page_wide.png and page_narrow.png: the page of `dogvscat serve` in a headless Chromium.

Needs Debian's packages chromium and chromium-driver: `.venv/bin/python docs/draw_page.py`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PICTURES = Path(__file__).parent / "pictures"
DOGVSCAT = [sys.executable, "-m", "dogvscat"]
PHOTOS = ["cat/0020.jpg", "dog/0003.jpg", "cat/0017.jpg"]
"""Of `dogvscat sample`: a cat, a dog, and one of which the bundled model is unsure."""
EXPLAINED = 1
"""The photo that shows its heat map."""


def draw_pictures() -> None:
    """Write both pictures."""
    with tempfile.TemporaryDirectory() as folder, _server() as url:
        subprocess.run([*DOGVSCAT, "sample", f"{folder}/sample", "--count", "100", "--seed", "0"], check=True)
        photos = [Path(folder, "sample", name) for name in PHOTOS]
        _screenshot(url, photos, PICTURES / "page_wide.png", 1200, 726, dark=False)
        _screenshot(url, photos[:2], PICTURES / "page_narrow.png", 390, 844, dark=True)


@contextmanager
def _server() -> Iterator[str]:
    """The address of a service on a free port."""
    with subprocess.Popen([*DOGVSCAT, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield next(process.stdout or iter([""])).strip()  # the only line is the address
        finally:
            process.terminate()


def _screenshot(url: str, photos: list[Path], picture: Path, width: int, height: int, dark: bool) -> None:
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    browser = Chrome(options, ChromeService("/usr/bin/chromedriver"))
    wait = WebDriverWait(browser, 60)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": dark}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": dark})
    try:
        browser.get(url)
        chooser = browser.find_element(By.CSS_SELECTOR, "input[type=file][multiple]")
        chooser.send_keys("\n".join(map(str, photos)))
        answered = ".card[data-state=answered]"
        wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, answered)) == len(photos))
        browser.find_elements(By.CSS_SELECTOR, ".heat-map-toggle")[EXPLAINED].click()
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".heat-map-toggle[aria-pressed=true]"))
        browser.execute_script("window.scrollTo(0, 0)")
        browser.save_screenshot(str(picture))
    finally:
        browser.quit()


if __name__ == "__main__":
    draw_pictures()
