"""Fixtures for every room."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dogvscat import caches
from dogvscat.bundle.card import Provenance
from dogvscat.bundle.export import onnxruntime_web as ort_web
from dogvscat.bundle.publish import FirstGraph, publish_bundle
from dogvscat.config import Config
from dogvscat.errors import FetchError, UsageError
from dogvscat.judging.decision import Decision
from dogvscat.photos.drawing.sample import write_sample
from dogvscat.settings.resolve import build_config
from tests.helpers import (
    QUICK,
    ChangeCard,
    Dogvscat,
    EditCard,
    LinearBundle,
    LinearGraph,
    PredictJson,
    SmallDisk,
    draw_easy,
    json_lines,
    quick_flags,
    seal,
    shared_folder,
)

_MARKED_BY_FIXTURE = {
    "chromium": pytest.mark.browser,
    "quick_run": pytest.mark.slow,  # it trains in its own process
    "skilled_run": pytest.mark.slow,
    "test_data": pytest.mark.data,
    "three_runs": pytest.mark.slow,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test needs shows in its fixtures; the marker follows from them. Long files come first.

    Two processes take whole files in this order. A long file at the end would leave one of them without work.
    """
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARKED_BY_FIXTURE:
                item.add_marker(_MARKED_BY_FIXTURE[fixture])
    markers = Counter((item.path, marker.name) for item in items for marker in item.iter_markers())
    items.sort(key=lambda item: (-markers[item.path, "ray"], -markers[item.path, "slow"]))


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that live longer than one test do not use the user's caches either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOGVSCAT_HOME", str(tmp_path_factory.mktemp("home")))
        # The list of fonts takes half a second to make: once, not in each command that draws a figure.
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("fonts")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _heed_ctrl_c() -> None:
    """A shell makes its background jobs ignore Ctrl-C, and they pass that on to the commands that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own caches and a plain environment."""
    monkeypatch.setenv("DOGVSCAT_HOME", str(tmp_path_factory.mktemp("home")))
    for name in ("DOGVSCAT_DATA", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with `kagglecatsanddogs.zip`, `photos/` and `neither.zip`."""
    folder = os.environ.get("DOGVSCAT_TEST_DATA")
    if not folder:
        pytest.skip("real photos are needed: set DOGVSCAT_TEST_DATA to a folder with kagglecatsanddogs.zip and photos/")
    return Path(folder)


@pytest.fixture(scope="session")
def dogvscat() -> Dogvscat:
    """Runs the command line in its own process: `dogvscat("predict", photo)`. The output is text, never a terminal."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dogvscat", *map(str, arguments)]
        defaults = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 300}
        return subprocess.run(command, **{**defaults, **options}, check=False)  # type: ignore[call-overload]

    return run


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 48 drawn cats and dogs. Do not change it: tests share it."""
    return (
        shared_folder(
            tmp_path_factory, "drawn", lambda folder: write_sample(folder / "photos", 48, seed=1, image_size=64)
        )
        / "photos"
    )


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path, dogvscat: Dogvscat) -> Path:
    """A finished run folder of a network that trained for a second. Do not change it: tests share it."""

    def train(folder: Path) -> None:
        result = dogvscat("train", drawn_photos, "--out", folder, *QUICK)
        assert result.returncode == 0, result.stderr

    return shared_folder(tmp_path_factory, "quick", train)


@pytest.fixture(scope="session")
def skilled_run(tmp_path_factory: pytest.TempPathFactory, dogvscat: Dogvscat) -> Path:
    """A finished run of a network that is far better than guessing, in a folder with the pictures that it was trained
    on: `photos`, and `neither`, of which 8 of 24 were held out. Do not change it: tests share it."""

    def train(folder: Path) -> None:
        for kind, count, parent in (("cat", 60, "photos/cat"), ("dog", 60, "photos/dog"), ("neither", 24, "neither")):
            (folder / parent).mkdir(parents=True)
            for seed in range(count):
                draw_easy(kind, seed, 64).save(folder / parent / f"{seed}.png")
        flags = quick_flags("training.epochs=12", "training.learning_rate=0.01", "training.batch_size=8")
        result = dogvscat("train", folder / "photos", "--neither", folder / "neither", "--out", folder / "run", *flags)
        assert result.returncode == 0, result.stderr
        assert (
            "photos that show neither class: 16 to learn from, 8 held out to measure how many are recognized"
            in result.stderr
        )
        assert "n = 8" in result.stdout.splitlines()[-1]
        assert "guessing" not in result.stdout + result.stderr

    return shared_folder(tmp_path_factory, "skilled", train) / "run"


@pytest.fixture(scope="session")
def _onnxruntime_web_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pinned archive: in the folder that `DOGVSCAT_TEST_NPM` names, in npm's cache, or from its registry."""
    local = Path(os.environ.get("DOGVSCAT_TEST_NPM", "/nowhere"), ort_web.ARCHIVE)
    if local.is_file():
        return local

    def fetch(folder: Path) -> None:
        try:
            ort_web.runtime_files()
        except (FetchError, UsageError) as error:
            if "sha512" in error.message:
                raise
            pytest.skip(f"ONNX Runtime Web is needed: {error.message}")
        folder.mkdir()
        shutil.copy(ort_web.archive_path(), folder)

    return shared_folder(tmp_path_factory, "onnxruntime-web", fetch) / ort_web.ARCHIVE


@pytest.fixture
def onnxruntime_web(_onnxruntime_web_archive: Path) -> Path:
    """ONNX Runtime Web in this test's caches, as if it had been fetched before."""
    kept = caches.folder("archives") / ort_web.ARCHIVE
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.symlink_to(_onnxruntime_web_archive)
    return kept


def _linear_graph(weights: np.ndarray) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logit"]),
    ]
    column = (weights.reshape(-1, 1) / 255.0).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", *weights.shape])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(column, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def _red_or_blue(image_size: int = 32) -> np.ndarray:
    distance = (np.arange(image_size) + 0.5) / image_size - 0.5  # of each pixel from the middle, in -0.5..0.5
    weights = np.zeros((image_size, image_size, 3))
    weights[:, :, 0] = 8.0 + 16.0 * distance[None, :] + 32.0 * distance[:, None]
    weights[:, :, 2] = -8.0
    return weights / image_size**2


@pytest.fixture(scope="session")
def linear_graph() -> LinearGraph:
    """Makes an ONNX graph whose logit is the sum of the given weights, (image_size, image_size, 3), times pixels in
    0..1."""
    return _linear_graph


@pytest.fixture(scope="session")
def no_provenance() -> Provenance:
    """Of a bundle that was never trained."""
    return Provenance(
        data_digest="0" * 64,
        drawn_sample=False,
        num_train=2,
        num_validation=2,
        epoch=1,
        commit="unknown",
        created="2026-01-01T00:00:00+00:00",
        hardware="none",
    )


@pytest.fixture(scope="session")
def linear_bundle(no_provenance: Provenance) -> LinearBundle:
    """Publishes a bundle whose answers can be worked out by hand: `linear_bundle(folder, unsure=(0.4, 0.6))`.

    Its network answers dog for red and cat for blue, and red counts more towards the lower right. For an image of one
    color the logit is 8 * (red - blue), both in 0..1; for others it depends on where the colors are.
    """

    def publish(
        folder: Path,
        graph: bytes | None = None,
        class_names: tuple[str, str] = ("cat", "dog"),
        unsure: tuple[float, float] = (0.5, 0.5),
        config: Config | None = None,
        metrics: dict[str, dict[str, dict[str, Any]]] | None = None,
        first: FirstGraph | None = None,
    ) -> Path:
        publish_bundle(
            folder,
            graph or _linear_graph(_red_or_blue()),
            {"grid": np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3), "one": np.array([0.25], np.float32)},
            class_names,
            config or build_config({"data": {"image_size": 32}}),
            Decision(unsure_low=unsure[0], unsure_high=unsure[1]),
            no_provenance,
            metrics or {},
            first=first,
        )
        return folder

    return publish


@pytest.fixture(scope="session")
def untouched_bundle(tmp_path_factory: pytest.TempPathFactory, linear_bundle: LinearBundle) -> Path:
    """A bundle for all tests that only read."""
    return linear_bundle(tmp_path_factory.mktemp("bundles") / "untouched")


@pytest.fixture
def predict(dogvscat: Dogvscat, untouched_bundle: Path) -> PredictJson:
    """Exit code, rows and stderr of `dogvscat predict --json` with the untouched bundle."""

    def run(*photos: object, **options: Any) -> tuple[int, list[dict[str, Any]], str]:
        command = ("predict", "--json", "--model", untouched_bundle, "--", *photos)
        result = dogvscat(*command, **{"encoding": "utf-8", "errors": "strict", **options})
        assert "Traceback" not in result.stderr, result.stderr
        return result.returncode, json_lines(result.stdout), result.stderr

    return run


@pytest.fixture
def bundle(tmp_path: Path, untouched_bundle: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(untouched_bundle, tmp_path / "bundle"))


@pytest.fixture
def change_card(bundle: Path) -> ChangeCard:
    """Changes the card of `bundle` and vouches for the new one: `change_card(lambda card: card.pop("bias"))`."""

    def change(edit: EditCard) -> None:
        card = json.loads((bundle / "card.json").read_text())
        edit(card)
        (bundle / "card.json").write_text(json.dumps(card))
        seal(bundle)

    return change


@pytest.fixture(scope="session")
def unprivileged() -> dict[str, Any]:
    """Options for `dogvscat(...)` with which file permissions hold, even if the tests run as root.

    Another user might not be allowed to run this Python. So the child stays root and gives up the capabilities that
    let root ignore permissions (Linux: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH).
    """
    if os.geteuid() != 0:
        return {}
    system = ctypes.CDLL(None)
    drop_from_bounding_set = 24  # PR_CAPBSET_DROP

    def obey_permissions() -> None:
        for capability in (1, 2):
            if system.prctl(drop_from_bounding_set, capability, 0, 0, 0):
                raise OSError("permissions cannot be made to hold for root here")

    return {"preexec_fn": obey_permissions}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Makes a disk with room for this many bytes: `small_disk(65536)`. A second call resizes it."""
    folder = tmp_path / "disk"

    def mount(num_bytes: int) -> Path:
        size = f"size={num_bytes},mode=755"
        options = f"remount,{size}" if folder.is_mount() else size
        folder.mkdir(exist_ok=True)
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if result.returncode:
            folder.rmdir()
            pytest.skip("a small disk is needed, and only root may mount one")
        return folder

    try:
        yield mount
    finally:
        if folder.is_mount():
            subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Any]]:
    """Starts headless Chromiums, with more arguments and with logs: `chromium("window-size=1200,900", browser="ALL")`.

    They end with the tests of the file.
    """
    program, driver = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
    if not (program.exists() and driver.exists()):
        pytest.skip(f"a browser is needed: {program} and {driver}, of Debian's chromium and chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    browsers = []

    def start(*arguments: str, **logs: str) -> Chrome:
        options = ChromeOptions()
        options.binary_location = str(program)
        for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", *arguments):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", logs)
        browsers.append(Chrome(options, ChromeService(str(driver))))
        return browsers[-1]

    yield start
    for browser in browsers:
        browser.quit()
