"""Fold the threshold of a bundle into the bias of its calibration, without training, so that one half is the threshold.

    python benchmarks/fold_threshold.py BUNDLE PHOTOS MANIFEST [--known-failure SENTENCE]

BUNDLE is a bundle whose card has format 1, with a threshold anywhere; it is replaced. Every label and every `unsure`
stays the same. PHOTOS are those that it was trained on: the slope of the new calibration is fitted on the validation
photos, as a training does it, and their figures about probabilities are measured again. Those of the training photos,
which nobody needs, are left out. MANIFEST is manifest.csv of its run; that of `best` was made again, as
benchmarks/fingerprints.py says.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dogvscat.bundle.card import CARD_FILE, MODEL_FILE, WEIGHTS_FILE, Provenance
from dogvscat.bundle.fingerprints import FINGERPRINT_FILES
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.publish import publish_bundle, unpack_weights
from dogvscat.config import Config
from dogvscat.judging.calibration import cross_fit, fit_decision
from dogvscat.judging.decision import Decision, Logits, sigmoid
from dogvscat.judging.metrics import compute_metrics
from dogvscat.learning.data.dataset import Dataset, LabelledImages
from dogvscat.learning.engine import open_engine
from dogvscat.photos.manifest import load_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.reading.sources import open_photos
from dogvscat.stderr import track

_BATCH = 8
_ABOUT_PROBABILITIES = ("roc_auc", "log_loss", "brier_score", "expected_calibration_error")
"""The figures that change. All others count labels and `unsure`."""


def main() -> None:
    """Replace the bundle, and print its threshold and its calibration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--known-failure", action="append", default=[], help="a sentence to add to the card")
    arguments = parser.parse_args()
    open_engine(0)
    from dogvscat.learning.finalize.onnx_export import calibrate_graph

    folder: Path = arguments.bundle
    old, graph = json.loads((folder / CARD_FILE).read_text(encoding="utf-8")), (folder / MODEL_FILE).read_bytes()
    config = Config(**old["config"])
    source, manifest = open_photos(arguments.photos), load_manifest(arguments.manifest)
    if manifest.digest != old["origin"]["data_digest"]:
        raise SystemExit("these are not the photos that the bundle was trained on")
    size = config.data.image_size
    dataset = Dataset(manifest, {size: cached_pixels(source, manifest, size)})
    logits = _run(graph, dataset.images["validation"], size)

    fitted = fit_decision(dataset.images["validation"].y_true, *logits)
    # The boundary of the fit is the old threshold again, up to rounding. To keep every label, the card's is taken.
    boundary = _log_odds(old["threshold"])
    change = Decision(fitted.temperature, -boundary / fitted.temperature)
    low, high = (float(change.probabilities(np.array(_log_odds(old[name])))) for name in ("unsure_low", "unsure_high"))
    # The old graph has divided the network's own logits by the old temperature already.
    decision = Decision(old["temperature"] * change.temperature, change.bias, low, high, old["neither_limit"])
    refitted = sigmoid(np.array(-fitted.bias * fitted.temperature))
    print(f"threshold {old['threshold']:.5f}, fitted again {refitted:.5f}; {change}; {decision}")
    _check_answers(old, logits, change, decision)
    old["metrics"]["validation"] |= _measure(dataset, logits)
    for name in _ABOUT_PROBABILITIES:
        del old["metrics"]["train"][name]
    publish_bundle(
        folder,
        calibrate_graph(graph, change),
        unpack_weights((folder / WEIGHTS_FILE).read_bytes()),
        manifest.class_names,
        config,
        decision,
        Provenance(**old["origin"]),
        old["metrics"],
        [*old["known_failures"], *arguments.known_failure],
        {split: (folder / name).read_bytes() for split, name in FINGERPRINT_FILES.items() if name in old["files"]},
    )


def _run(graph: bytes, images: LabelledImages, size: int) -> Logits:
    """What the old graph answers, float64 (num_images,) per output."""
    session = open_graph(graph, "the old bundle")
    batches = np.array_split(np.arange(len(images)), -(-len(images) // _BATCH))  # the division rounds up
    outputs = [run_graph(session, images.pixels(batch, size)) for batch in track(batches, "Asking", len(batches))]
    positive, neither = zip(*outputs, strict=True)
    return Logits(np.concatenate(positive), None if neither[0] is None else np.concatenate(neither))


def _check_answers(old: dict[str, Any], logits: Logits, change: Decision, decision: Decision) -> None:
    """Stop if a label or an `unsure` differs from that of the old card."""
    before, after = sigmoid(logits.positive), change.probabilities(logits.positive)
    unsure = (before > old["unsure_low"]) & (before < old["unsure_high"])
    if logits.neither is not None:
        unsure |= sigmoid(logits.neither) > old["neither_limit"]
    same_label = decision.predict(after) == (before >= old["threshold"])
    same = same_label & (decision.is_unsure(after, logits.neither) == unsure)
    print(f"{np.sum(same):,} of {len(same):,} answers are the same")
    if not same.all():
        raise SystemExit("the new bundle would answer differently; nothing was written")


def _measure(dataset: Dataset, logits: Logits) -> dict[str, dict[str, Any]]:
    """The figures about probabilities of the validation photos, cross-fitted as in a training."""
    y_true, groups = dataset.images["validation"].y_true, [row.group for row in dataset.manifest.of_split("validation")]
    crossed = cross_fit(y_true, logits.positive, groups, logits.neither)
    figures = compute_metrics(y_true, crossed.y_prob, crossed.y_pred, dataset.manifest.class_names)
    accuracy = figures["accuracy"]
    print(f"cross-fitted accuracy {accuracy.value:.4f} ({accuracy.low:.4f} to {accuracy.high:.4f})")
    return {name: asdict(figures[name]) for name in _ABOUT_PROBABILITIES}


def _log_odds(probability: float) -> float:
    return float(np.log(probability) - np.log1p(-probability))


if __name__ == "__main__":
    main()
