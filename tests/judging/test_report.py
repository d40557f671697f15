import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from dogvscat.config import Config
from dogvscat.errors import WriteError
from dogvscat.judging.advice import TrainingSetup
from dogvscat.judging.decision import Decision
from dogvscat.judging.diagnosis import diagnose, suspected_mislabeled
from dogvscat.judging.figures import write_figures
from dogvscat.judging.metrics import SplitResult, evaluate_split
from dogvscat.judging.predictions import History, Predictions
from dogvscat.judging.report import Report, render_report, write_report

HOSTILE = "<script>alert('x')</script>\udcff&.jpg"
VOID = {"meta", "img"}


def result(n=40, split="validation", class_names=("cat", "dog")) -> SplitResult:
    y_true = np.arange(n) % 2
    y_prob = np.where(np.arange(n) % 10 == 0, 0.95, 0.1 + 0.8 * y_true)
    y_pred = (y_prob >= 0.5).astype(np.int64)
    paths = [f"{i}{HOSTILE}" for i in range(n)]
    return evaluate_split(Predictions(split, class_names, paths, y_true, y_prob, y_pred, np.zeros(n, bool)))


def history() -> History:
    keys = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    return History([{"epoch": i + 1, **dict.fromkeys(keys, 0.5)} for i in range(3)], 1, True, 80, 40)


def load_images(indices) -> np.ndarray:
    return np.zeros((len(indices), 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("pictures")
    validation, train, curves = result(), result(80, "train"), history()
    return Report(
        title="classic-1",
        splits=[validation, train],
        decision=Decision(1.5, 0.0, 0.4, 0.6),
        folds=5,
        figures=write_figures(folder, validation, Decision(), load_images, curves),
        history=curves,
        findings=diagnose(TrainingSetup(Config(), 80), curves, train.metrics, validation.metrics),
        suspects=suspected_mislabeled(validation.predictions),
        facts=[("Recipe", "classic")],
        settings=[("network.dropout", "0.5")],
        environment=[("Commit", "<none>")],
        commands=[("dogvscat predict photo.jpg --model runs/classic-1", "Try a photo.")],
        note="pictures drawn by code, not photographs",
    )


class Page(HTMLParser):
    """Checks nesting and collects what a browser would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.anchors: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        self.anchors += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def test_the_page_is_whole_well_nested_and_fetches_nothing(tmp_path, full_report):
    write_report(tmp_path / "report.html", full_report)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "script" not in page.tags
    links = {source for source in page.sources if source.startswith("#")}
    assert links
    assert links <= {f"#{anchor}" for anchor in page.anchors}
    loaded = [source for source in page.sources if source not in links]
    assert len(loaded) == len(full_report.figures) == 7
    for source, path in zip(loaded, full_report.figures, strict=False):
        assert source.startswith("data:image/png;base64,"), path
        assert base64.b64decode(source.split(",")[1]).startswith(b"\x89PNG")


def test_the_verdict_and_every_section_are_there(full_report):
    text = re.sub(r"\s+", " ", Page(render_report(full_report)).text)
    assert "36 of 40 validation images correct: 90.0% (76.9-96.0)" in text
    for heading in (
        "How the training went", "The metrics", "Mistakes", "Labels worth checking",
        "How confident the network is", "What to do next", "How it was made",
    ):  # fmt: skip
        assert heading in text
    assert "pictures drawn by code, not photographs" in text
    assert "cross-fitted: the images are split into 5 parts" in text
    assert "Dividing its logits by a temperature of 1.50" in text
    assert "n = 40" in text
    assert "n = 80" in text


def test_names_of_strangers_are_shown_and_never_obeyed(full_report):
    html = render_report(full_report)
    assert "<script" not in html
    assert "0&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\\xff&amp;.jpg" in html
    assert "&lt;none&gt;" in html


def test_sections_without_content_vanish():
    text = Page(render_report(Report("model.onnx", [result(4, "all")], Decision()))).text
    for heading in ("How the training went", "Labels worth", "What to do next", "How it was made", "cross-fitted"):
        assert heading not in text
    assert re.search(r"3 of 4\s+images correct", text)


def test_every_text_between_backticks_is_shown_as_code(tmp_path, full_report):
    picture = tmp_path / "network.png"
    picture.write_bytes(b"\x89PNG")
    html = render_report(replace(full_report, figures=full_report.figures | {"network": picture}))
    assert "<code>dogvscat network</code> prints the layers as a table." in html
    assert "`" not in Page(html).text


@pytest.mark.parametrize("label", [0, 1])
def test_a_single_image_of_a_single_class(label):
    y_true, y_prob = np.array([label]), np.array([1.0])
    predictions = Predictions("all", ("cat", "dog"), ["a"], y_true, y_prob, np.array([1]), np.array([True]))
    text = Page(render_report(Report("m", [evaluate_split(predictions)], Decision()))).text
    assert "undefined" in text


def test_odd_class_names_reach_the_page_escaped(tmp_path):
    names = ("<b>", "\udcfe\n")
    write_report(tmp_path / "report.html", Report("\ud800", [result(4, "all", names)], Decision()))
    page = (tmp_path / "report.html").read_bytes().decode("utf-8")
    assert "<b>" not in page
    assert "Precision, &lt;b&gt;" in page
    assert "Precision, \\xfe\\n" in page


def test_too_few_images_to_choose_a_decision_are_mentioned():
    assert "too few validation images to choose" in render_report(Report("m", [result(4)], Decision(), folds=0))


def test_a_report_needs_a_split(tmp_path):
    with pytest.raises(ValueError, match="at least one split"):
        write_report(tmp_path / "report.html", Report("m", [], Decision()))


def test_a_page_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=r"could not write .*report\.html"):
        write_report(tmp_path / "file" / "report.html", Report("m", [result(4)], Decision()))
