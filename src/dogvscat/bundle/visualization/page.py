"""The page of a network: a folder that a browser opens without a web server, with everything inside."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.export import onnxruntime_web
from dogvscat.bundle.export.browser import PAGE, logits_in_node
from dogvscat.bundle.export.formats import Conversion
from dogvscat.bundle.export.readme import describe_model
from dogvscat.bundle.folder import MODEL_FILE, Bundle
from dogvscat.bundle.publish import NETWORK_PICTURE_FILE, network_picture
from dogvscat.bundle.visualization.description import describe_network, new_outputs
from dogvscat.bundle.visualization.graph_outputs import with_outputs
from dogvscat.glossary.page import explain_words
from dogvscat.pages import data_uri, open_templates

_OWN_PAGE = Path(__file__).parent / "page"
_SCRIPTS = (
    *(PAGE / name for name in ("elements.js", "words.js", "resample.js", "decode.js", "classifier.js")),
    *(_OWN_PAGE / name for name in ("load.js", "colors.js", "computation.js", "numbers.js", "path.js", "heat.js")),
    *(_OWN_PAGE / name for name in ("meanings.js", "layers.js", "inspector.js", "steps.js", "page.js")),
)
"""The scripts in the order in which they are loaded: each uses only those before it."""
_DATA_SCRIPT = "scripts/data.js"


def make_page(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The page of a network that shows what each layer makes of a photo, computed by ONNX Runtime Web in the browser.

    Args:
        bundle: The page shows its network and runs its graph, with more outputs.
        pixels: Pictures to answer, uint8 (num_images, image_size, image_size, 3).

    Raises:
        UsageError: if npm or Node is not installed.
        FetchError: if npm cannot fetch ONNX Runtime Web.
        ModelError: if the graph does not have the names of the network, or ONNX Runtime Web cannot run it.
        WriteError: if the archive of ONNX Runtime Web cannot be cached.
    """
    node = onnxruntime_web.find_program("node")
    network = describe_network(bundle)
    graph = with_outputs(bundle.model, new_outputs(network))
    in_node = {"classifier.js": (PAGE / "classifier.js").read_bytes(), MODEL_FILE: graph}
    logits = logits_in_node(node, {**in_node, **onnxruntime_web.runtime_files()}, pixels)
    runtime = onnxruntime_web.local_files()
    data = {
        "ABOUT": describe_model(bundle.card, logits.neither is not None),
        "NETWORK": network,
        "MODEL_BASE64": _base64(graph),
        "LOADER_SOURCE": runtime["loader.mjs"].decode(),
        "WEB_ASSEMBLY_GZIP_BASE64": _base64(gzip.compress(runtime["ort-wasm-simd-threaded.wasm"], mtime=0)),
    }
    files = {
        "index.html": _index(bundle),
        "style.css": (PAGE / "style.css").read_bytes(),
        "layers.css": (_OWN_PAGE / "layers.css").read_bytes(),
        NETWORK_PICTURE_FILE: network_picture(bundle.card.config),
        _DATA_SCRIPT: _data_script(data),
        "scripts/ort.js": runtime["ort.js"],
        **{f"scripts/{script.name}": _classic_script(script.read_text(encoding="utf-8")) for script in _SCRIPTS},
    }
    return Conversion(files, "index.html", logits, f"ONNX Runtime Web {onnxruntime_web.VERSION} in Node")


def _index(bundle: Bundle) -> bytes:
    card = bundle.card
    pictures = [(picture.label, data_uri(bundle.read(picture.file))) for picture in card.golden]
    template = open_templates(_OWN_PAGE).get_template("index.html.jinja")
    html = template.render(
        bundle_name=bundle.name,
        recipe=card.config.recipe,
        negative=card.class_names[0],
        positive=card.class_names[1],
        image_size=card.image_size,
        golden=pictures,
        network_picture=NETWORK_PICTURE_FILE,
        scripts=["scripts/ort.js", _DATA_SCRIPT, *(f"scripts/{script.name}" for script in _SCRIPTS)],
    )
    # The sentences about the layers are added by a script.
    meanings = (_OWN_PAGE / "meanings.js").read_text(encoding="utf-8")
    return explain_words(html, meanings, with_links=False).encode()


def _classic_script(module: str) -> bytes:
    """A script that shares its names with those loaded after it: a module without its imports and exports.

    Browsers load no modules from local files.
    """
    without_imports = re.sub(r"^import [^;]+;\n", "", module, flags=re.MULTILINE)
    return ('"use strict";\n' + re.sub(r"^export ", "", without_imports, flags=re.MULTILINE)).encode()


def _data_script(data: Mapping[str, Any]) -> bytes:
    """Constants of a script, one per line; pages without a web server cannot fetch data."""
    lines = (f"const {name} = {json.dumps(value, allow_nan=False)};\n" for name, value in data.items())
    return "".join(lines).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
