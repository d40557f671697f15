"""A bundle as a model folder that Transformers.js reads and the Hugging Face Hub shows.

Transformers.js 4 prepares an image as `preprocessor_config.json` says, passes it to `onnx/model.onnx` as
`pixel_values`, and takes the softmax over `logits`. Both ends differ from a bundle, so the graph gets a part before and
a part after it:

- Its resizing is not the one that the network learned from: in Node it shrinks without antialiasing, in a browser it is
  the browser's. So it is switched off, and the graph resizes, as the decoder does with a JPEG.
- Two logits 0 and z have the softmax 1 - sigmoid(z) and sigmoid(z). So the scores are the calibrated probabilities.
"""

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import compose, parser

from dogvscat._version import __version__
from dogvscat.bundle.card import Card
from dogvscat.bundle.export.formats import Conversion, run_in_batches
from dogvscat.bundle.export.readme import decision_rules
from dogvscat.bundle.folder import Bundle
from dogvscat.labels import NEITHER
from dogvscat.learning.onnx_export.nodes import OPSET
from dogvscat.network.operations import LOGIT, PIXELS
from dogvscat.text import markdown

MODEL_PATH = "onnx/model.onnx"
_IMAGES = "pixel_values"
_CARD_START = "## How good it is"
"""From here on, the model card of a bundle applies to this folder as well."""

_USAGE = """\
```js
import {{ pipeline }} from "@huggingface/transformers";

const classify = await pipeline("image-classification", "USER/NAME"); // where this folder was uploaded
console.log(await classify("photo.jpg")); // the classes with their scores, the higher one first
```

Exported by dogvscat {version}. `hf upload USER/NAME FOLDER` uploads this folder to the Hugging Face Hub. To read it
from a disk, set `env.localModelPath` to the folder that contains it and `env.allowRemoteModels` to `false`, and use its
name as the model.

- The graph resizes to {size} x {size} pixels by itself, as dogvscat does with JPEGs. Photos of different sizes cannot
  be in one batch, so pass them one by one.
- `config.json` calls the network a ResNet, because Transformers.js runs only types that it knows. PyTorch and the
  Python package `transformers` cannot load it; ONNX Runtime can.

## Output

The labels are {labels}, and their scores are calibrated probabilities. dogvscat also answers `unsure`, which
Transformers.js does not know. With p as the score of {positive}{neither}, the first of these rules that applies gives
dogvscat's answer:

{rules}
"""
_NEITHER = ", and `neither` as the second output of the graph (`classify.model` gives it)"

# Pillow's antialiased bilinear filter, which resizes columns before rows and rounds in between. JPEGs with at least
# twice the side are first reduced by 2, 4 or 8, as the decoder lets the JPEG library do; both steps are one matrix.
_SIZES = """
height_1 = Shape <start = 2, end = 3> (pixel_values)
width_1 = Shape <start = 3, end = 4> (pixel_values)
height = Cast <to = 1> (height_1)
width = Cast <to = 1> (width_1)
shorter = Min (height, width)
ratio = Div (shorter, side)
is_2 = GreaterOrEqual (ratio, two)
is_4 = GreaterOrEqual (ratio, four)
is_8 = GreaterOrEqual (ratio, eight)
from_4 = Where (is_8, eight, four)
from_2 = Where (is_4, from_4, two)
factor = Where (is_2, from_2, one)
targets = Add (target_indices, half)
"""
_MATRIX = """
{axis}_scalar = Squeeze ({axis})
{axis}_indices = Range (zero_scalar, {axis}_scalar, one_scalar)
{axis}_blocks_exact = Div ({axis}_indices, factor)
{axis}_blocks = Floor ({axis}_blocks_exact)
{axis}_starts = Mul ({axis}_blocks, factor)
{axis}_remaining = Sub ({axis}, {axis}_starts)
{axis}_block_lengths = Min ({axis}_remaining, factor)
{axis}_reduced = Div ({axis}, factor)
{axis}_scale = Div ({axis}_reduced, side)
{axis}_radius = Max ({axis}_scale, one)
{axis}_centers = Mul (targets, {axis}_scale)
{axis}_middles = Add ({axis}_blocks, half)
{axis}_offsets = Sub ({axis}_middles, {axis}_centers)
{axis}_distances = Abs ({axis}_offsets)
{axis}_relative = Div ({axis}_distances, {axis}_radius)
{axis}_falling = Sub (one, {axis}_relative)
{axis}_triangle = Relu ({axis}_falling)
{axis}_shares = Div ({axis}_triangle, {axis}_block_lengths)
{axis}_sums = ReduceSum <keepdims = 1> ({axis}_shares, last_axis)
{axis}_matrix = Div ({axis}_shares, {axis}_sums)
"""
_RESIZE = """
columns_matrix = Transpose <perm = [1, 0]> (width_matrix)
narrow_exact = MatMul (pixel_values, columns_matrix)
narrow_raised = Add (narrow_exact, half)
narrow = Floor (narrow_raised)
square_exact = MatMul (height_matrix, narrow)
square_raised = Add (square_exact, half)
square = Floor (square_raised)
channels_last = Transpose <perm = [0, 2, 3, 1]> (square)
prepared = Cast <to = 2> (channels_last)
"""


def convert_to_huggingface(bundle: Bundle, pixels: np.ndarray) -> Conversion:
    """The folder's files; the answers are those of its graph in ONNX Runtime for images that need no resizing.

    Args:
        bundle: What to export.
        pixels: Pictures to answer, uint8 (num_images, image_size, image_size, 3).

    Raises:
        ModelError: if the answers are not finite.
    """
    graph = write_graph(bundle.model, bundle.card.image_size)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]

    def run(batch: np.ndarray) -> dict[str, np.ndarray]:
        images = batch.transpose(0, 3, 1, 2).astype(np.float32)  # (n, 3, image_size, image_size), 0..255
        outputs = dict(zip(names, session.run(names, {_IMAGES: images}), strict=True))
        logits = outputs.pop("logits")
        return {LOGIT: logits[:, 1:] - logits[:, :1], **outputs}

    answers = run_in_batches(run, pixels)
    has_neither = answers.neither is not None
    documents = {
        "config.json": _config(bundle.card),
        "preprocessor_config.json": _preprocessor(bundle.card.image_size),
    }
    files = {name: f"{json.dumps(document, indent=2)}\n".encode() for name, document in documents.items()}
    return Conversion(
        {**files, MODEL_PATH: graph, "network.svg": bundle.read("network.svg")},
        MODEL_PATH,
        answers,
        f"ONNX Runtime {onnxruntime.__version__}",
        readme=_readme(bundle, has_neither),
        interface=_interface(bundle.card, has_neither),
    )


def write_graph(model: bytes, image_size: int) -> bytes:
    """A bundle's graph with a part before it that resizes images, and a part after it that gives two logits.

    Args:
        model: The graph of a bundle.
        image_size: Side of its input, in pixels.

    Returns:
        A graph from `pixel_values`, float32 (n, 3, height, width) in 0..255, RGB, to `logits` (n, 2) and, if the bundle
        has it, `neither` (n, 1).
    """
    network = onnx.load_from_string(model)
    kept = [output for output in network.graph.output if output.name in (LOGIT, NEITHER)]
    del network.graph.output[:]
    network.graph.output.extend(kept)
    before, after = _resize_part(image_size, network.ir_version), _logits_part(network.ir_version)
    # Values inside of each part get its name in front, because two parts may not have a name in common.
    network = compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)
    before = compose.add_prefix(before, "resize/", rename_inputs=False)
    after = compose.add_prefix(after, "logits/", rename_outputs=False)
    resized = compose.merge_models(before, network, [("resize/prepared", PIXELS)])
    whole = compose.merge_models(resized, after, [(LOGIT, "logits/z")])
    whole.producer_name, whole.producer_version = "dogvscat", __version__
    onnx.checker.check_model(whole, full_check=True)
    serialized: bytes = whole.SerializeToString(deterministic=True)
    return serialized


def _resize_part(image_size: int, ir_version: int) -> onnx.ModelProto:
    targets = ", ".join(map(str, range(image_size)))
    constants = {"one": 1, "two": 2, "four": 4, "eight": 8, "half": 0.5, "side": image_size}
    declared = ", ".join(f"float[1] {name} = {{{value}}}" for name, value in constants.items())
    # The targets are a column, the pixels of the photo a row: together they make a matrix.
    others = f"float[{image_size}, 1] target_indices = {{{targets}}}, int64[1] last_axis = {{-1}}"
    scalars = "float zero_scalar = {0}, float one_scalar = {1}"
    steps = _SIZES + "".join(_MATRIX.format(axis=axis) for axis in ("width", "height")) + _RESIZE
    return _parse(
        f"resize (float[n, 3, h, w] pixel_values) => (uint8[n, {image_size}, {image_size}, 3] prepared) "
        f"<{declared}, {others}, {scalars}> {{{steps}}}",
        ir_version,
    )


def _logits_part(ir_version: int) -> onnx.ModelProto:
    steps = "nothing = Sub (z, z)\nlogits = Concat <axis = 1> (nothing, z)"
    return _parse(f"logits (float[n, 1] z) => (float[n, 2] logits) {{{steps}}}", ir_version)


def _parse(graph: str, ir_version: int) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {OPSET}]> {graph}')


def _config(card: Card) -> dict[str, Any]:
    return {
        # Transformers.js runs only the types that it knows. All types of image classifiers run any graph from
        # `pixel_values` to `logits`, so this one stands for networks with convolutions; the README says so.
        "model_type": "resnet",
        "architectures": ["ResNetForImageClassification"],
        "num_labels": 2,
        "id2label": dict(enumerate(card.class_names)),
        "label2id": {name: index for index, name in enumerate(card.class_names)},
        "problem_type": "single_label_classification",
        # Without this, Transformers.js looks for a graph in 8 bits in browsers.
        "transformers.js_config": {"dtype": "fp32"},
    }


def _preprocessor(image_size: int) -> dict[str, Any]:
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_convert_rgb": True,
        "do_resize": False,
        "do_rescale": False,
        "do_normalize": False,
        "size": {"height": image_size, "width": image_size},  # of the network's own input; not used
    }


def _interface(card: Card, has_neither: bool) -> dict[str, Any]:
    (first, second), size = card.class_names, card.image_size
    logits = f"the softmax gives the calibrated probabilities of {first} and {second}"
    neither = "log-odds that the photo shows neither class; its sigmoid is compared with neither_limit"
    outputs = {"logits": {"shape": [None, 2], "dtype": "float32", "meaning": logits}}
    if has_neither:
        outputs[NEITHER] = {"shape": [None, 1], "dtype": "float32", "meaning": neither}
    return {
        "input": {
            "name": _IMAGES,
            "shape": [None, 3, None, None],
            "layout": "NCHW",
            "dtype": "float32",
            "range": [0, 255],
            "colors": "RGB",
        },
        "steps": ["Decode the file, turn it upright, convert it to RGB.", "Pass the values 0 to 255 at any size."],
        "resize": {"how": f"inside the model, to {size} x {size} pixels", "size": [size, size]},
        "outputs": outputs,
    }


def _readme(bundle: Bundle, has_neither: bool) -> str:
    """The model card: fields for the Hub, how to use the folder, and the bundle's own card from its figures on."""
    _, fields, body = bundle.read("README.md").decode().split("---\n", 2)
    fields = fields.replace('library_name: "dogvscat"', 'library_name: "transformers.js"')
    card = bundle.card
    first, second = map(markdown, card.class_names)
    rules = enumerate(decision_rules(card, has_neither), start=1)
    usage = _USAGE.format(
        version=__version__,
        size=card.image_size,
        labels=f"{first} and {second}",
        positive=second,
        neither=_NEITHER * has_neither,
        rules="\n".join(f"{number}. {rule}" for number, rule in rules),
    )
    warnings = [f"**{warning}**" for warning in card.warnings]
    title, _, rest = body.partition(_CARD_START)
    heading = title.strip().splitlines()[0]
    return "\n\n".join([f"---\n{fields}---", heading, *warnings, f"{usage}\n{_CARD_START}{rest}"])
