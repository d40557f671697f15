"""The in-browser build: a static folder whose page classifies on the visitor's own machine, with ONNX Runtime Web."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from dogvscat.bundle.card import MODEL_FILE
from dogvscat.bundle.export import onnxruntime_web
from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.folder import Bundle
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Logits
from dogvscat.stderr import track

_PAGE = Path(__file__).parent / "page"
_PAGE_FILES = ("index.html", "style.css", "page.js", "words.js", "classifier.js", "picture.js", "resample.js")
_CHECK = "check.mjs"


def convert_for_browser(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The page with the bundle's own graph, whose answers are checked with the same ONNX Runtime Web in Node.

    Args:
        bundle: What to export.
        pixels: uint8 (num_pictures, image_size, image_size, 3).

    Raises:
        UsageError: if npm or Node are not installed.
        FetchError: if npm cannot fetch ONNX Runtime Web.
        ModelError: if the graph does not run there.
    """
    node = onnxruntime_web.find_program("node")
    contents = {name: (_PAGE / name).read_bytes() for name in _PAGE_FILES}
    contents |= {MODEL_FILE: bundle.model, **onnxruntime_web.runtime_files()}
    logits = _answers_in_node(node, contents, pixels)
    return Conversion(contents, "index.html", logits, f"ONNX Runtime Web {onnxruntime_web.VERSION} in Node")


def _answers_in_node(node: str, contents: dict[str, bytes], pixels: np.ndarray) -> Logits:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        about = json.dumps({"input": {"name": "pixels", "shape": [None, *pixels.shape[1:]]}}).encode()
        beside = {"about.json": about, "package.json": b'{"type": "module"}', "pixels": pixels.tobytes()}
        script = {_CHECK: (_PAGE / _CHECK).read_bytes()}
        for name, data in {**contents, **onnxruntime_web.node_files(), **beside, **script}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        command = [node, *map(str, (folder / _CHECK, folder, folder / "pixels"))]
        with (
            (folder / "stderr").open("w+", errors="replace") as told,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as process,
        ):
            lines = track(process.stdout or (), "Checking the export", len(pixels))
            rows = [json.loads(line) for line in lines]
        if process.returncode or len(rows) != len(pixels):
            raise ModelError(f"ONNX Runtime Web cannot run this network in Node: {_reason(folder / 'stderr')}")
    names = ("logit", "neither") if "neither" in rows[0] else ("logit",)
    return Logits(*(np.array([row[name] for row in rows], dtype=np.float64) for name in names))


def _reason(told: Path) -> str:
    """The line that names the error; Node shows the source around it first, here a line of 70,000 letters."""
    lines = told.read_text(errors="replace").strip().splitlines() or ["nothing was said"]
    return next((line for line in lines if "Error" in line[:80]), lines[-1])[:300]
