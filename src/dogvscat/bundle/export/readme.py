"""What lies beside an exported model: `preprocessing.json` for programs and `README.md` for people.

Normalisation and temperature are inside every model. What is left to whoever calls it, from a photo to pixels and from
logits to an answer, is told here, in one place for both files.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dogvscat._version import __version__
from dogvscat.bundle.card import Card
from dogvscat.bundle.export.formats import FORMATS, Conversion
from dogvscat.bundle.export.parity import Parity
from dogvscat.bundle.folder import PREPROCESSING_FILE, Bundle
from dogvscat.text import printable

README_FILE = "README.md"
MADE_BY = "dogvscat export"


def describe(
    bundle: Bundle, format_name: str, conversion: Conversion, parity: Parity, files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The two files that explain the others.

    Args:
        bundle: What was exported.
        format_name: One of `FORMATS`.
        conversion: What was made of it.
        parity: How well it agrees.
        files: All other files of the export; their digests are listed.
    """
    readme = _readme(bundle.card, format_name, conversion, parity).encode()
    document = _preprocessing(bundle, format_name, conversion, parity)
    everything = {**files, README_FILE: readme}
    document["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(everything.items())}
    return {README_FILE: readme, PREPROCESSING_FILE: (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()}


def _preprocessing(bundle: Bundle, format_name: str, conversion: Conversion, parity: Parity) -> dict[str, Any]:
    card = bundle.card
    size, (_, positive) = card.image_size, card.class_names
    outputs = {
        "logit": f"log-odds of {positive}, calibrated: its sigmoid is the probability",
        "neither": "log-odds of showing neither class; its sigmoid is compared with neither_limit",
    }
    if conversion.logits.neither is None:
        del outputs["neither"]
    accuracy = card.metrics.get("validation", {}).get("accuracy")
    return {
        "made_by": MADE_BY,
        "dogvscat": __version__,
        "format": format_name,
        "model": conversion.model_file,
        "bundle": {"card_sha256": bundle.digest, "recipe": card.config.recipe, "created": card.origin.created},
        "drawn_sample": card.origin.drawn_sample,
        "validation_accuracy": accuracy,
        "input": {
            "name": "pixels",
            "shape": [None, size, size, 3],
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
            "threshold": card.threshold,
            "unsure_low": card.unsure_low,
            "unsure_high": card.unsure_high,
            "neither_limit": card.neither_limit if "neither" in outputs else None,
            "temperature_inside": card.temperature,
        },
        "golden": [picture.model_dump() for picture in card.golden],
        "parity": {**parity.to_dict(), "read_by": conversion.read_by},
    }


def _steps(size: int) -> list[str]:
    """From a file to pixels, as photos/decoder.py does it."""
    return [
        "Decode the file; of an animation take the first frame. Ignore colour profiles.",
        (
            f"A JPEG of at least {2 * size} pixels a side is first reduced: by the largest of 2, 4 and 8 that leaves "
            f"both sides at least {size}, with the mean of so many by so many pixels. Pillow's `draft` does it."
        ),
        "Turn it by its EXIF orientation.",
        "Lay transparency on white; make it RGB, 8 bits a channel. 16-bit grey is divided by 257.",
        (
            f"Squash it to {size} x {size} pixels, whatever its aspect, with a bilinear filter that is widened when "
            "shrinking (antialiased), as Pillow's `resize(..., BILINEAR)`. Filters that are not widened, as those of "
            "OpenCV, of canvases and of TensorFlow by default, give other pixels and other answers."
        ),
        "Give the bytes 0 to 255 as they are: the network scales them itself.",
    ]


def _readme(card: Card, format_name: str, conversion: Conversion, parity: Parity) -> str:
    first, second = map(printable, card.class_names)
    neither = conversion.logits.neither is not None
    lines = [
        f"# {first} or {second}: {FORMATS[format_name].title}",
        "",
        (
            f"Exported by dogvscat {__version__} from a bundle of the recipe {printable(card.config.recipe)}. "
            "`preprocessing.json` says the same as this page, for programs."
        ),
        "",
        FORMATS[format_name].reading,
        "",
        *(["It learned from DRAWINGS: what it says of photographs means nothing.", ""] * card.origin.drawn_sample),
        "## Before",
        "",
        *[f"{number}. {step}" for number, step in enumerate(_steps(card.image_size), start=1)],
        "",
        f"Input: `pixels`, uint8 (N, {card.image_size}, {card.image_size}, 3), RGB.",
        "",
        "## After",
        "",
        (
            f"- `logit`, float32 (N, 1): p = 1 / (1 + exp(-logit)) is the probability of {second}. "
            "It is calibrated; the temperature is inside."
        ),
        *(["- `neither`, float32 (N, 1): its sigmoid says how much the picture seems to show neither."] * neither),
        f"- The answer is {second} if p >= {card.threshold!r}, otherwise {first}.",
        f"- It is `unsure` if {card.unsure_low!r} < p < {card.unsure_high!r}"
        + (f", and if the sigmoid of `neither` is above {card.neither_limit!r}." if neither else "."),
        "",
        "## Checked",
        "",
        f"{parity.in_words()} Read back by {conversion.read_by}.",
        "",
        (
            f"The pictures in `golden/` have these probabilities of {second}; whoever gets others prepares pictures in "
            "another way:"
        ),
        "",
        "| picture | probability |",
        "|---|---|",
        *[f"| {picture.file} | {picture.probability:.4f} |" for picture in card.golden],
    ]
    return "\n".join(lines) + "\n"
