"""The browser export: a static folder with a page that classifies photos on the visitor's machine."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from dogvscat.bundle.export import onnxruntime_web
from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.folder import MODEL_FILE, Bundle
from dogvscat.errors import ModelError
from dogvscat.judging.decision import Logits
from dogvscat.stderr import track

PAGE = Path(__file__).parent / "page"
_PAGE_FILES = (
    *("index.html", "style.css", "page.js", "elements.js", "words.js", "classifier.js", "decode.js", "resample.js"),
)
_CHECK = "check.mjs"


def convert_for_browser(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The page, ONNX Runtime Web and the bundle's own graph.

    The answers come from the same files in Node, which runs the same WebAssembly as a browser.

    Args:
        bundle: What to export.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Raises:
        UsageError: if npm or Node is not installed.
        FetchError: if npm cannot fetch ONNX Runtime Web.
        ModelError: if ONNX Runtime Web cannot run the graph.
        WriteError: if the archive of ONNX Runtime Web cannot be cached.
    """
    node = onnxruntime_web.find_program("node")
    contents = {name: (PAGE / name).read_bytes() for name in _PAGE_FILES}
    contents |= {MODEL_FILE: bundle.model, **onnxruntime_web.runtime_files()}
    logits = logits_in_node(node, contents, pixels)
    return Conversion(contents, "index.html", logits, f"ONNX Runtime Web {onnxruntime_web.VERSION} in Node")


def logits_in_node(node: str, contents: dict[str, bytes], pixels: np.ndarray) -> Logits:
    """The logits of a graph, computed by the page's classifier.js in Node, without a browser.

    Args:
        node: The program.
        contents: The page's classifier.js, the graph and the files of ONNX Runtime Web.
        pixels: uint8 (num_images, image_size, image_size, 3).

    Returns:
        float64 (num_images,) for each output.

    Raises:
        ModelError: if ONNX Runtime Web cannot run the graph.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # The only parts of preprocessing.json that classifier.js reads for logits.
        about = json.dumps({"input": {"name": "pixels", "shape": [None, *pixels.shape[1:]]}}).encode()
        # Without this package.json Node would take the `.js` files for CommonJS.
        inputs = {"about.json": about, "package.json": b'{"type": "module"}', "pixels": pixels.tobytes()}
        script = {_CHECK: (PAGE / _CHECK).read_bytes()}
        for name, data in {**contents, **onnxruntime_web.node_files(), **inputs, **script}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        command = [node, *map(str, (folder / _CHECK, folder, folder / "pixels"))]
        with (
            (folder / "stderr").open("w+", errors="replace") as error_file,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error_file, text=True) as process,
        ):
            # One line of JSON per image, printed as soon as it is computed.
            lines = track(process.stdout or (), "Checking the export", len(pixels))
            rows = [json.loads(line) for line in lines]
        # Checked after the block, which waits for the process to end.
        if process.returncode or len(rows) != len(pixels):
            raise ModelError(f"ONNX Runtime Web cannot run this network in Node: {_error_line(folder / 'stderr')}")
    names = ("logit", "neither") if "neither" in rows[0] else ("logit",)
    return Logits(*(np.array([row[name] for row in rows], dtype=np.float64) for name in names))


def _error_line(error_file: Path) -> str:
    """The line that names the error. Node prints the source around it first: here a line of 70,000 characters."""
    lines = error_file.read_text(errors="replace").strip().splitlines() or ["it printed no error"]
    return next((line for line in lines if "Error" in line[:80]), lines[-1])[:300]
