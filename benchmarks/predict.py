"""How many photos per second, and with how much memory? Compared with Keras. cold_answer.py measures single answers.

    python benchmarks/predict.py PHOTOS --out FILE.md [--model RUN] [--rounds 7] [--files 2000] [--memory-files 100000]

Three tables. *One*: the network only, on a batch of one. *Folder*: photos of 500 x 375 pixels, made from PHOTOS. The
goal is 90% of what decoding only (D files per second) and the network only (N) allow together, 1 / (1 / D + 1 / N), and
5 times the speed of the Keras loop (`load_model`, `load_img`, `predict`). *Memory*: resident memory of `predict` after
a tenth of very many photos, and near the end.
"""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from dogvscat import atomic
from dogvscat.bundle.folder import find_bundle
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.predict.predictor import BATCH_SIZE, Predictor
from dogvscat.photos.decoding.decoder import decode_photo

KERAS = """\
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
model = keras.saving.load_model(sys.argv[1])
size = int(sys.argv[2])
started = time.perf_counter()
for photo in sys.argv[3:]:
    image = keras.utils.load_img(photo, target_size=(size, size), interpolation="bilinear")
    pixels = keras.utils.img_to_array(image, dtype="uint8")[None]
    logit = model.predict(pixels, verbose=0)["logit"][0, 0]
    print(1 / (1 + np.exp(-logit)))
    if photo == sys.argv[3]:
        started = time.perf_counter()  # not measured: the first call builds the function
print((len(sys.argv) - 4) / (time.perf_counter() - started), file=sys.stderr)
"""


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--model", type=Path, help="a run folder or a bundle; the bundled model if not given")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--memory-files", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measurements = Measurements(Path(folder), arguments.model, list(_camera_like(arguments.photos, Path(folder))))
        lines = [*measurements.one_at_a_time(), ""]
        lines += measurements.folder_of_photos(arguments.files, arguments.rounds)
        lines += ["", *measurements.memory(arguments.memory_files)] if arguments.memory_files else []
    text = "\n".join(lines) + "\n"
    print(text)
    atomic.write_text(arguments.out, text)


class Measurements:
    """The measurements of one model on some photos; each method yields the lines of its table."""

    def __init__(self, scratch: Path, model: Path | None, photos: list[Path]) -> None:
        self.scratch, self.photos = scratch, photos
        self.predictor = Predictor.load(model)  # checks the golden pictures, once, before anything is measured
        self.size = self.predictor.rules.image_size
        bundle = find_bundle(model)
        self.keras_model = scratch / "model.keras"
        self.keras = scratch / "keras_way.py"
        atomic.write_text(self.keras, KERAS)
        _save_keras(bundle, self.keras_model)

    def one_at_a_time(self, rounds: int = 200) -> Iterator[str]:
        """Milliseconds of the network only, on one decoded image, with all threads."""
        pixels = self._decode(self.photos[:1])
        milliseconds = []
        for _ in range(rounds + 20):  # the first 20 warm up and are not measured
            started = time.perf_counter()
            self.predictor.logits(pixels)
            milliseconds.append(1000 * (time.perf_counter() - started))
        tenth, median, ninetieth = np.percentile(milliseconds[20:], [10, 50, 90])
        yield f"| network only, a batch of one, median of {rounds} | ms | tenth and ninetieth percentile |"
        yield "|---|---|---|"
        yield f"| {self.size} px, {self.predictor.threads} threads | {median:.1f} | {tenth:.1f}, {ninetieth:.1f} |"

    def folder_of_photos(self, num_files: int, rounds: int) -> Iterator[str]:
        """Files per second: decoding only, the network only, `dogvscat`, and the Keras loop."""
        files = [self.photos[i % len(self.photos)] for i in range(num_files)]
        pixels = self._decode(files)  # uint8 (num_files, size, size, 3), so that the network can be timed by itself
        threads = self.predictor.threads
        one_thread_graph = open_graph(self.predictor.bundle.model, "the bundle", 1)
        batches = [pixels[i : i + BATCH_SIZE] for i in range(0, len(pixels), BATCH_SIZE)]

        def run_batches_in_parallel() -> None:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda batch: run_graph(one_thread_graph, batch), batches))

        measured: dict[str, Callable[[], object]] = {
            "decoding only (D)": lambda: self._decode(files),
            "network only (N), one batch per thread": run_batches_in_parallel,
            "network only (N), all threads on each batch": lambda: [self.predictor.logits(batch) for batch in batches],
            "dogvscat": lambda: self.predictor.predict(files),
        }
        rates: dict[str, list[float]] = {name: [] for name in measured}
        # In turns, so that a machine whose speed drifts affects all of them.
        for _ in range(max(1, rounds // 2)):
            for name, measure in measured.items():
                started = time.perf_counter()
                measure()
                rates[name].append(num_files / (time.perf_counter() - started))
        keras = self._keras_rate(min(num_files, 100))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        network = max(rate for name, rate in medians.items() if "(N)" in name)
        # Both share the cores, so their times per file add up.
        possible = 1 / (1 / medians["decoding only (D)"] + 1 / network)
        yield f"| {num_files:,} photos of 500 x 375, {threads} threads | photos per second |"
        yield "|---|---|"
        for name, rate in medians.items():
            yield f"| {name} | {rate:.0f} |"
        ours = medians["dogvscat"]
        yield f"| possible: 1 / (1 / D + 1 / N) | {possible:.0f}; `dogvscat` reaches {ours / possible:.0%} of it |"
        yield f"| the Keras loop | {keras:.1f}; `dogvscat` is {ours / keras:.1f} times as fast |"

    def memory(self, num_files: int) -> Iterator[str]:
        """Resident memory of a long run of `predict`, read while it answers."""
        listing = self.scratch / "photos.txt"
        atomic.write_text(listing, "".join(f"{self.photos[i % len(self.photos)]}\n" for i in range(num_files)))
        command = [sys.executable, "-m", "dogvscat", "predict", "--json", "--model", str(self.predictor.bundle.folder)]
        yield "| answered by `predict -` | resident memory, MB |\n|---|---|"
        # Each line of output is one answered photo, so the line number says how far it has come.
        with (
            listing.open("rb") as paths,
            subprocess.Popen([*command, "-"], stdin=paths, stdout=subprocess.PIPE) as process,
        ):
            for number, _ in enumerate(process.stdout or (), start=1):
                if number in (num_files // 10, num_files // 2, num_files * 19 // 20):
                    yield f"| {number:,} of {num_files:,} | {_resident_megabytes(process.pid):.0f} |"

    def _decode(self, files: list[Path]) -> np.ndarray:
        """Pixels of all files, uint8 (num_files, size, size, 3)."""
        with ThreadPoolExecutor(self.predictor.threads) as pool:
            return np.stack(list(pool.map(lambda file: decode_photo(file, self.size), files)))

    def _keras_rate(self, num_files: int) -> float:
        """Files per second of the Keras loop, which prints it to stderr; its first file is not measured."""
        files = [str(self.photos[i % len(self.photos)]) for i in range(num_files + 1)]
        command = [sys.executable, str(self.keras), str(self.keras_model), str(self.size), *files]
        completed = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(completed.stderr.splitlines()[-1])


def _camera_like(photos: Path, scratch: Path) -> Iterator[Path]:
    """JPEG files of 500 x 375 pixels, made from the first 200 photos."""
    for number, photo in enumerate(sorted(photos.rglob("*.jpg"))[:200]):
        file = scratch / f"{number:04d}.jpg"
        buffer = io.BytesIO()
        with Image.open(photo) as image:
            image.convert("RGB").resize((500, 375), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=90)
        atomic.write_bytes(file, buffer.getvalue())
        yield file


def _save_keras(bundle: Path, file: Path) -> None:
    """Save the same network as a .keras file of plain layers, in another process: Keras would slow this one."""
    program = (
        "import sys; from pathlib import Path; from dogvscat.bundle.folder import load_bundle; "
        "from dogvscat.learning.engine import open_engine; open_engine(0); "
        "from dogvscat.learning.keras_export.rebuild import rebuild_network; "
        "rebuild_network(load_bundle(Path(sys.argv[1]))).save(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, str(bundle), str(file)], check=True, capture_output=True)


def _resident_megabytes(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


if __name__ == "__main__":
    main()
