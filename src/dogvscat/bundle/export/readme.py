"""The two descriptions in the folder of an export: `preprocessing.json` for programs and `README.md` for people.

Normalization and calibration are inside every exported model. The steps that are left to the caller, from a photo to
pixels and from logits to a prediction, are described here, in one place for both files.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dogvscat._version import __version__
from dogvscat.bundle.card import Card
from dogvscat.bundle.export.formats import PRECISIONS, Conversion, described_format
from dogvscat.bundle.export.parity import Parity
from dogvscat.bundle.folder import PREPROCESSING_FILE, Bundle
from dogvscat.text import markdown

README_FILE = "README.md"
MADE_BY = "dogvscat export"


def description_files(
    bundle: Bundle, format_name: str, conversion: Conversion, parity: Parity, files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """`README.md` and `preprocessing.json`, by name.

    Args:
        bundle: The exported bundle.
        format_name: One of `FORMATS`, or `LAYERS`.
        conversion: The bundle in that format.
        parity: How much it differs from the bundle.
        files: Content of all other files of the export, whose digests are listed.
    """
    readme = (conversion.readme or _readme(bundle.card, format_name, conversion, parity)).encode()
    document = _preprocessing(bundle, format_name, conversion, parity)
    # All files but preprocessing.json itself: `refuse_out` compares them before an export is replaced.
    listed_files = {**files, README_FILE: readme}
    document["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(listed_files.items())}
    return {README_FILE: readme, PREPROCESSING_FILE: (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()}


def describe_model(card: Card, has_neither: bool) -> dict[str, Any]:
    """What programs and pages must know of a network, as JSON values: input, outputs, classes and decision.

    Args:
        card: The card of its bundle.
        has_neither: Whether it has a second output.
    """
    size, (_, positive) = card.image_size, card.class_names
    outputs = {
        "logit": f"calibrated log-odds of {positive}: its sigmoid is the probability",
        "neither": "log-odds that the photo shows neither class; its sigmoid is compared with neither_limit",
    }
    if not has_neither:  # trained without photos that show neither
        del outputs["neither"]
    accuracy = card.metrics.get("validation", {}).get("accuracy")
    return {
        "dogvscat": __version__,
        "drawn_sample": card.origin.drawn_sample,
        "warnings": card.warnings,
        "validation_accuracy": accuracy,
        "input": {
            "name": "pixels",
            "shape": [None, size, size, 3],  # null stands for any number of images
            "layout": "NHWC",
            "dtype": "uint8",
            "range": [0, 255],
            "colors": "RGB",
        },
        "steps": _steps(size),
        "resize": {"how": card.resize, "size": [size, size], "filter": "bilinear, antialiased"},
        "outputs": {name: {"shape": [None, 1], "dtype": "float32", "meaning": text} for name, text in outputs.items()},
        "class_names": card.class_names,
        "positive_class": card.positive_class,
        "decision": {
            "at_chance": card.decision().at_chance,
            "threshold": card.threshold,
            "unsure_low": card.unsure_low,
            "unsure_high": card.unsure_high,
            "neither_limit": card.neither_limit if "neither" in outputs else None,
            "temperature_inside": card.temperature,
            "bias_inside": card.bias,
        },
        # Without the answers of the first network, because an export has only the full network.
        "golden": [picture.model_dump(exclude={"first"}) for picture in card.golden],
    }


def _preprocessing(bundle: Bundle, format_name: str, conversion: Conversion, parity: Parity) -> dict[str, Any]:
    card = bundle.card
    return {
        "made_by": MADE_BY,
        "format": format_name,
        "precision": conversion.precision,
        "model": conversion.model_file,
        "bundle": {
            "name": bundle.name,
            "digest": bundle.digest,
            "recipe": card.config.recipe,
            "created": card.origin.created,
        },
        **describe_model(card, conversion.logits.neither is not None),
        **conversion.interface,
        "parity": {**parity.to_dict(), "read_by": conversion.read_by},
    }


def _steps(size: int) -> list[str]:
    """From a file to pixels, as photos/decoding/decoder.py does it. docs/export.md has them in Python."""
    return [
        "Decode the file. Of an animation, take the first frame. Convert colors to sRGB by their ICC profile, if any.",
        (
            f"If the file is a JPEG and both sides have at least {2 * size} pixels, reduce it first, by the largest of "
            f"the factors 2, 4 and 8 that leaves both sides at least {size} pixels. Each new pixel is the mean of a "
            "square of old pixels, with the factor as its side. Pillow's `draft` does this."
        ),
        "Rotate it according to its EXIF orientation.",
        "Put transparent images on white. Convert to RGB with 8 bits per channel; divide 16-bit gray by 257.",
        (
            f"Resize it to {size} x {size} pixels, whatever its aspect ratio, with an antialiased bilinear filter: one "
            "that is widened when shrinking, like Pillow's `resize(..., BILINEAR)`. The default filters of OpenCV, of "
            "canvases and of TensorFlow are not widened; they give other pixels and other predictions."
        ),
        "Pass the bytes 0 to 255 unchanged: the network scales them itself.",
    ]


def _readme(card: Card, format_name: str, conversion: Conversion, parity: Parity) -> str:
    first, second = map(markdown, card.class_names)
    neither, precision = conversion.logits.neither is not None, PRECISIONS[conversion.precision]
    # `[...] * condition` keeps the list if the condition is true, else it is empty. Class names come from the user's
    # folders, so they are escaped.
    lines = [
        f"# {first} or {second}: {described_format(format_name).title}",
        "",
        (
            f"Exported by dogvscat {__version__} from a bundle of the recipe {markdown(card.config.recipe)}. "
            "`preprocessing.json` has the same description for programs."
        ),
        "",
        described_format(format_name).reading,
        "",
        *[
            line
            for text in (precision.reading, precision.details.get(format_name), conversion.cost)
            if text
            for line in (text, "")
        ],
        *[line for warning in card.warnings for line in (f"**{warning}**", "")],
        "## Input",
        "",
        *[f"{number}. {step}" for number, step in enumerate(_steps(card.image_size), start=1)],
        "",
        f"The model's input is `pixels`, uint8 (N, {card.image_size}, {card.image_size}, 3), RGB.",
        "",
        "## Output",
        "",
        (
            f"- `logit`, float32 (N, 1): p = 1 / (1 + exp(-logit)) is the calibrated probability of {second}. "
            "Temperature and bias of the calibration are already inside the model."
        ),
        *(
            ["- `neither`, float32 (N, 1): its sigmoid is an uncalibrated probability that the photo shows neither."]
            * neither
        ),
        "",
        "The first of these rules that applies gives the answer:",
        "",
        *[f"{number}. {rule}" for number, rule in enumerate(decision_rules(card, neither), start=1)],
        "",
        "## Check",
        "",
        f"{parity.summary()} Read back by {conversion.read_by}.",
        "",
        (
            f"The pictures in `golden/` have these probabilities of {second}. If your program gets others, it prepares "
            "photos differently:"
        ),
        "",
        "| picture | probability |",
        "|---|---|",
        *[f"| {picture.file} | {picture.probabilities[card.positive_class]:.4f} |" for picture in card.golden],
    ]
    return "\n".join(lines) + "\n"


def decision_rules(card: Card, has_neither: bool) -> list[str]:
    """From probabilities to the answer, as judging/decision.py does it, and the reasons for `unsure`. The first rule
    that applies gives the answer; p is the probability of the positive class."""
    if card.decision().at_chance:
        return ["`unsure`, reason `at_chance`: for every photo, because the network is no better than guessing."]
    first, second = map(markdown, card.class_names)
    return [
        *[f"`unsure`, reason `neither`: if the sigmoid of `neither` is above {card.neither_limit!r}."] * has_neither,
        *[f"`unsure`, reason `close`: if {card.unsure_low!r} < p < {card.unsure_high!r}."]
        * (card.unsure_low < card.unsure_high),
        f"{second}: if p >= {card.threshold!r}.",
        f"{first}: otherwise.",
    ]
