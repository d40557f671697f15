"""What a new bundle answers for its golden pictures: its card records that, and every copy of it must give the same."""

from collections.abc import Sequence

import numpy as np

from dogvscat.bundle.answer_rules import AnswerRules
from dogvscat.bundle.card import GoldenLogits, GoldenPicture, GoldenStages
from dogvscat.bundle.graph import open_graph, run_graph
from dogvscat.bundle.predict.networks import mirrored
from dogvscat.judging.cascade import mean_logits, stages
from dogvscat.judging.decision import Decision, Logits, sigmoid


def golden_answers(rules: AnswerRules, files: Sequence[str], logits: Logits) -> tuple[GoldenPicture, ...]:
    """What a bundle answers for its golden pictures, by its full network.

    Args:
        rules: Of the bundle.
        files: Names of the pictures.
        logits: Of its graph for them.
    """
    # The default decision calibrates nothing: the logits of the graph are calibrated.
    y_prob = Decision().probabilities(logits.positive).tolist()
    neither_probs = [None] * len(files) if logits.neither is None else sigmoid(logits.neither).tolist()
    negative, positive = rules.class_names
    pictures = []
    for file, probability, neither in zip(files, y_prob, neither_probs, strict=True):
        label, reason = rules.answer(probability, neither)
        probabilities = {negative: 1.0 - probability, positive: probability}
        pictures.append(
            GoldenPicture(
                file=file, label=label, reason=reason, probabilities=probabilities, neither=neither, first=None
            )
        )
    return tuple(pictures)


def with_stages(
    rules: AnswerRules, first: bytes, golden: Sequence[GoldenPicture], pixels: np.ndarray
) -> tuple[GoldenPicture, ...]:
    """The same with what the first network answers, and which stage counts.

    Args:
        rules: Of the bundle, with margins.
        first: The graph of the first network.
        golden: From `golden_answers`.
        pixels: The pictures, uint8 (n, image_size, image_size, 3).
    """
    if rules.margins is None:
        raise ValueError("expected the rules of a bundle with a first network")
    session = open_graph(first, "the new bundle")
    one_view = run_graph(session, pixels)
    two_views = mean_logits(one_view, run_graph(session, mirrored(pixels)))
    answered_by = stages(rules.decision(), rules.margins, one_view, two_views)
    numbers = zip(_golden_logits(one_view), _golden_logits(two_views), answered_by.tolist(), strict=True)
    return tuple(
        picture.model_copy(update={"first": GoldenStages(one_view=one, two_views=two, stage=stage)})
        for picture, (one, two, stage) in zip(golden, numbers, strict=True)
    )


def _golden_logits(logits: Logits) -> list[GoldenLogits]:
    neither = [None] * len(logits.positive) if logits.neither is None else logits.neither.tolist()
    pairs = zip(logits.positive.tolist(), neither, strict=True)
    return [GoldenLogits(positive=positive, neither=number) for positive, number in pairs]
