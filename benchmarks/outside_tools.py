"""Do other tools take our ONNX graphs, and answer as ONNX Runtime does?

    python benchmarks/outside_tools.py
    python benchmarks/outside_tools.py --tools onnxslim pnnx --model runs/fast-1

Installs the tools in a temporary virtual environment: 1 GB or more, most of it torch. Converts two graphs with each:
that of a bundle, and a tiny one with the kinds of layers that the bundle lacks. Prints a table. Each tool runs in its
own process, without this package.
"""

import argparse
import importlib
import importlib.util
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

RUNTIME = ("numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.32.0")
TINY_LAYERS = (
    "soft colors",
    "conv 8 4x4 stride 3, leaky relu, squeeze-excite, blur pool",
    "max pool 3x3 stride 2, 2 x residual 5x5 silu squeeze-excite",
    "conv 12 valid, elu, norm, average pool, flatten, dense 8",
)
TINY_SIZE = 96
NUM_IMAGES = 8
ONE_WAY = ("both_ways", "logits.both_ways", "logit.both_ways")
"""Names of values in a graph that averages over flips: the pixels (0 to 1) of images and mirror images, and the logits
of both, with or without a second output."""

LOGITS = ("logit", "neither")
Answers = Mapping[str, np.ndarray]
"""Outputs (NUM_IMAGES, 1) by name."""


def main() -> None:
    """Install the tools, run each on each graph, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--model", type=Path, help="a bundle or run folder; the bundled model if not given")
    parser.add_argument("--convert", nargs=2, metavar=("TOOL", "GRAPH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.convert:
        tool, graph = arguments.convert
        print(json.dumps({"result": run_tool(tool, Path(graph))}))
        return
    with tempfile.TemporaryDirectory() as folder:
        graphs = write_graphs(Path(folder), arguments.model)
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        python = Path(folder, "venv", "bin", "python")
        install(python, *RUNTIME)
        names = [graph.parent.name for graph in graphs]
        print(f"| tool | {' | '.join(names)} |\n|---|{'---|' * len(names)}", flush=True)
        for tool in arguments.tools:
            *needed, package = TOOLS[tool].packages
            install(python, *needed)
            install(python, *(["--no-deps"] if TOOLS[tool].alone else []), package)
            results = [run_in_process(python, tool, graph) for graph in graphs]
            print(f"| {tool} ({package}) | {' | '.join(results)} |", flush=True)


def write_graphs(folder: Path, model: Path | None) -> list[Path]:
    """`bundle/model.onnx` and `tiny/model.onnx`, each with a file `pixels.npy` in its folder."""
    from dogvscat.bundle.folder import load_bundle
    from dogvscat.config import NetworkConfig
    from dogvscat.judging.decision import Decision
    from dogvscat.learning.onnx_export.writer import write_onnx
    from dogvscat.photos.drawing.sample import KINDS, draw

    bundle = load_bundle(model)
    config = NetworkConfig(layers=TINY_LAYERS, flip_averaging=True, neither_output=True)
    operations = config.operations(TINY_SIZE)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if len(shape) == 1
        else (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
        for operation in operations
        for name, shape in operation.weights.items()
    }
    tiny = write_onnx(operations, weights, Decision(1.7, 0.6), flip_averaging=True)
    graphs = []
    for name, content, size in (("bundle", bundle.model, bundle.card.image_size), ("tiny", tiny, TINY_SIZE)):
        (folder / name).mkdir()
        graphs.append(folder / name / "model.onnx")
        graphs[-1].write_bytes(content)
        images = [np.asarray(draw(KINDS[seed % len(KINDS)], seed, size)) for seed in range(NUM_IMAGES)]
        np.save(folder / name / "pixels.npy", np.stack(images))
    return graphs


def install(python: Path, *arguments: str) -> None:
    """Install packages with pip, if any are named."""
    if arguments:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *arguments], check=True)


def run_in_process(python: Path, tool: str, graph: Path) -> str:
    """What a tool makes of a graph, a cell of the table."""
    command = [str(python), __file__, "--convert", tool, str(graph)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in process.stdout.splitlines() if line.startswith('{"result"')]  # tools print as well
    if not lines:
        errors = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        reasons = [line for line in errors if "not supported" in line or "not exist" in line] or errors[-1:]
        return f"does not take it: {'; '.join(reason.rpartition(' : ')[2] for reason in reasons)}"
    result: str = json.loads(lines[-1])["result"]
    return result


def run_tool(tool: str, graph: Path) -> str:
    """Convert a graph with a tool and compare its answers, in this process."""
    pixels = np.load(graph.parent / "pixels.npy")
    with tempfile.TemporaryDirectory() as folder:
        answers, note = TOOLS[tool].convert(graph, pixels, Path(folder))
    expected = run_onnx(graph.read_bytes(), pixels)
    differences = [np.abs(np.asarray(answers[name], np.float64) - expected[name]) for name in answers]
    return f"{note}; logits differ by {np.max(differences):.1g}"


def run_onnx(graph: bytes, pixels: np.ndarray) -> Answers:
    """The logits that ONNX Runtime computes from a graph."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs() if value.name in LOGITS]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


def logits_by_name(graph: Path, batches: list[list[np.ndarray]]) -> Answers:
    """The logits among all outputs of a graph, which are given in its order for each batch."""
    import onnx

    names = [value.name for value in onnx.load(graph).graph.output]
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    return {name: column for name, column in zip(names, columns, strict=True) if name in LOGITS}


def count_nodes(before: Any, after: Any) -> str:
    """The numbers of nodes of two graphs, in words."""
    return f"takes it; {len(before.graph.node)} nodes become {len(after.graph.node)}"


def with_onnxslim(graph: Path, pixels: np.ndarray, _: Path) -> tuple[Answers, str]:
    """Simplified by onnxslim."""
    import onnx
    import onnxslim  # type: ignore[import-not-found, unused-ignore]

    slim = onnxslim.slim(str(graph))
    return run_onnx(slim.SerializeToString(), pixels), count_nodes(onnx.load(graph), slim)


def with_onnxsim(graph: Path, pixels: np.ndarray, _: Path) -> tuple[Answers, str]:
    """Simplified by onnxsim."""
    import onnx
    import onnxsim  # type: ignore[import-not-found, unused-ignore]

    model = onnx.load(graph)
    simple, _ = onnxsim.simplify(model)
    return run_onnx(simple.SerializeToString(), pixels), count_nodes(model, simple)


def with_onnx2torch(graph: Path, pixels: np.ndarray, _: Path) -> tuple[Answers, str]:
    """As a module of torch."""
    # onnx2torch imports torchvision for two operators that find boxes. torchvision fits only one build of torch, so an
    # empty module takes its place.
    sys.modules["torchvision"] = ModuleType("torchvision")
    sys.modules["torchvision.ops"] = ModuleType("torchvision.ops")
    vars(sys.modules["torchvision.ops"])["roi_align"] = None
    import onnx
    import onnx2torch  # type: ignore[import-not-found, unused-ignore]
    import torch  # type: ignore[import-not-found, unused-ignore]

    model = onnx.load(graph)
    with torch.no_grad():
        outputs = onnx2torch.convert(model)(torch.from_numpy(pixels))
    return logits_by_name(graph, [[value.numpy() for value in outputs]]), "takes it"


def with_float16(
    graph: Path, pixels: np.ndarray, _: Path, *, converter: str, also_blocked: str | None = None
) -> tuple[Answers, str]:
    """In half precision, by the module of a converter, which may be told to leave one more kind of operator alone."""
    import onnx

    module = importlib.import_module(converter)
    blocked = None if also_blocked is None else [*module.DEFAULT_OP_BLOCK_LIST, also_blocked]
    content = module.convert_float_to_float16(onnx.load(graph), op_block_list=blocked).SerializeToString()
    return run_onnx(content, pixels), f"takes it; {len(content) / 1e6:.2g} MB"


def with_pnnx(graph: Path, pixels: np.ndarray, folder: Path) -> tuple[Answers, str]:
    """As the module of torch that pnnx writes, for one image at a time."""
    import torch  # type: ignore[import-not-found, unused-ignore]

    run_pnnx(graph, [1, *pixels.shape[1:]], "u8", folder)
    os.chdir(folder)  # where the module looks for its weights
    module = runpy.run_path("model_pnnx.py")["Model"]().eval()
    with torch.no_grad():
        outputs = [module(torch.from_numpy(image[None])) for image in pixels]
    return logits_by_name(graph, [[value.numpy() for value in values] for values in outputs]), "takes it"


def with_ncnn(graph: Path, pixels: np.ndarray, folder: Path) -> tuple[Answers, str]:
    """By ncnn, as it is."""
    print(*run_pnnx(graph, [1, *pixels.shape[1:]], "u8", folder), sep="\n", file=sys.stderr)
    load_ncnn(folder)
    raise NotImplementedError("ncnn takes the whole graph now: compare its answers here")


def with_ncnn_one_way(graph: Path, pixels: np.ndarray, folder: Path) -> tuple[Answers, str]:
    """The part of the graph between scaled pixels and logits by ncnn; the mean over flips is computed here."""
    import ncnn  # type: ignore[import-not-found, unused-ignore]
    import onnx

    start, *ends = ONE_WAY
    (end,) = {node.name for node in onnx.load(graph).graph.node} & set(ends)
    onnx.utils.extract_model(str(graph), str(folder / "one_way.onnx"), [start], [end])
    size = pixels.shape[1]
    run_pnnx(folder / "one_way.onnx", [1, 3, size, size], "f32", folder)
    net = load_ncnn(folder)
    logits = []
    for image in pixels.astype(np.float32).transpose(0, 3, 1, 2) / 255:
        both = []
        for picture in (image, image[:, :, ::-1]):
            values = np.ascontiguousarray(picture)  # ncnn only points to it
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(values))
            both.append(np.array(extractor.extract("out0")[1]))
        logits.append(np.mean(both, axis=0))
    columns = np.stack(logits).reshape(len(pixels), -1, 1)  # (NUM_IMAGES, 1 or 2, 1)
    return {name: columns[:, index] for index, name in enumerate(LOGITS[: columns.shape[1]])}, "takes it"


def run_pnnx(graph: Path, shape: list[int], kind: str, folder: Path) -> list[str]:
    """Convert a graph into files of a folder; returns what ncnn does not support. Stops at an unknown operator."""
    (package,) = importlib.util.find_spec("pnnx").submodule_search_locations  # type: ignore[union-attr, misc]
    (folder / "model.onnx").write_bytes(graph.read_bytes())
    command = [f"{package}/pnnx", "model.onnx", f"inputshape={shape}{kind}".replace(" ", ""), "fp16=0"]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = (process.stdout + process.stderr).splitlines()
    if unknown := {line.removeprefix("todo ") for line in lines if line.startswith("todo ")}:
        sys.exit(f"pnnx has no operator of torch for {', '.join(unknown)}")
    return [line for line in lines if "not supported" in line]


def load_ncnn(folder: Path) -> Any:
    """The network that pnnx wrote for ncnn."""
    import ncnn

    net = ncnn.Net()
    if net.load_param(str(folder / "model.ncnn.param")) or net.load_model(str(folder / "model.ncnn.bin")):
        sys.exit(1)  # ncnn has printed the reason
    return net


@dataclass(frozen=True)
class Tool:
    """Another tool, and how to use it."""

    convert: Callable[[Path, np.ndarray, Path], tuple[Answers, str]]
    """From a graph, pixels and a folder to the answers and what to say about the conversion."""
    packages: tuple[str, ...]
    """Packages to install, the tool itself last."""
    alone: bool = False
    """Whether the tool itself is installed without the packages that it requires."""


ONNXCONVERTER = partial(with_float16, converter="onnxconverter_common.float16")
TORCH = "torch==2.13.0"
PNNX = ("pnnx==20261020", "ncnn==1.0.20261020")
TOOLS: Mapping[str, Tool] = {
    "onnxslim": Tool(with_onnxslim, ("onnxslim==0.1.98",)),
    "onnxsim": Tool(with_onnxsim, ("onnxsim==0.8.1",)),
    "float16 of onnxruntime": Tool(
        partial(with_float16, converter="onnxruntime.transformers.float16"), ("onnxruntime==1.32.0",)
    ),
    "float16 of onnxconverter-common": Tool(ONNXCONVERTER, ("onnxconverter-common==1.16.0",)),
    "the same, Cast blocked": Tool(partial(ONNXCONVERTER, also_blocked="Cast"), ("onnxconverter-common==1.16.0",)),
    "onnx2torch": Tool(with_onnx2torch, (TORCH, "onnx2torch==1.5.15"), alone=True),
    "pnnx": Tool(with_pnnx, (TORCH, *PNNX[:1])),
    "ncnn": Tool(with_ncnn, (TORCH, *PNNX)),
    "ncnn, one way": Tool(with_ncnn_one_way, (TORCH, *PNNX)),
}


if __name__ == "__main__":
    main()
