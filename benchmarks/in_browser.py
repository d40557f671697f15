"""How much does the in-browser build differ from `dogvscat predict`, including decoder, resampling and arithmetic?

    python -m dogvscat export --format browser --out page
    python benchmarks/in_browser.py page PHOTOS

Serves the folder on loopback, gives 200 photos to the page in a headless Chromium (Debian's chromium and
chromium-driver) and compares its predictions with the predictor's. Prints one line of JSON.
"""

import argparse
import functools
import json
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.photos.reading.sources import open_any

NUM_PHOTOS = 200


class SilentRequestHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None:
        """Write no log line."""


def predict_in_chromium(page: Path, photos: list[Path]) -> tuple[list[tuple[str, float]], float]:
    """Label and probability of the positive class for each photo, and the seconds for all of them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SilentRequestHandler, directory=str(page)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # Containers have no sandbox to give, and a small /dev/shm.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        # The page loads its model first; that time does not count.
        WebDriverWait(driver, 60).until(lambda d: "is loaded" in d.find_element(By.ID, "status").text)
        started = time.monotonic()
        driver.find_element(By.ID, "files").send_keys("\n".join(map(str, photos)))
        WebDriverWait(driver, 1800, 1.0).until(
            lambda d: f"{len(photos)} of {len(photos)}" in d.find_element(By.ID, "progress").text
        )
        seconds = time.monotonic() - started
        # The cards hold the unrounded probability, the visible text does not.
        rows = driver.execute_script(
            "return [...document.querySelectorAll('.card')].map(c => [c.dataset.label, Number(c.dataset.probability)])"
        )
        return [(label, probability) for label, probability in rows], seconds
    finally:
        driver.quit()
        server.shutdown()


def main() -> None:
    """Compare and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="a folder that `dogvscat export --format browser` wrote")
    parser.add_argument("photos", type=Path, help="a folder or zip with photos")
    parser.add_argument(
        "--model", type=Path, default=None, help="the bundle the page was exported from; the bundled model if not given"
    )
    arguments = parser.parse_args()
    source = open_any(arguments.photos)
    predictor = Predictor.load(arguments.model, exact=True)
    with tempfile.TemporaryDirectory() as temporary:
        files: list[Path] = []
        predictions: list[Prediction] = []
        # Random photos that the predictor can decode, each under its own file name, which keeps the order.
        for index in np.random.default_rng(0).permutation(len(source.photos)):
            data = source.read(source.photos[index].path)
            (prediction,) = predictor.predict([data])
            if isinstance(prediction, Prediction):
                file = Path(temporary, f"{len(files)}{Path(source.photos[index].path).suffix}")
                file.write_bytes(data)
                files.append(file)
                predictions.append(prediction)
            if len(files) == NUM_PHOTOS:
                break
        browser_rows, seconds = predict_in_chromium(arguments.page, files)
    positive = predictor.card.positive_class
    pairs = list(zip(predictions, browser_rows, strict=True))
    differences = np.array([abs(ours.probabilities[positive] - probability) for ours, (_, probability) in pairs])
    summary = {
        "photos": len(files),
        "largest_difference": float(differences.max()),
        "median_difference": float(np.median(differences)),
        "99th_percentile": float(np.quantile(differences, 0.99)),
        "within_0.001": int((differences <= 1e-3).sum()),
        "different_labels": sum(ours.label != label for ours, (label, _) in pairs),
        "seconds_per_photo": seconds / len(files),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
