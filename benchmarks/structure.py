"""How easy is the code to read? Rooms, imports, the walk of a training, names and comments, checkouts side by side.

    python benchmarks/structure.py ../dogvscat-before .

The walk: one tiny training on synthetic images is traced from the call of `train()` until it returns. Each function
counts at its first call, in the main thread; bodies of modules and classes, comprehensions and lambdas do not count.
Consecutive calls in one file are one visit. A return is a visit to a file that was left before.
"""

import argparse
import ast
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

VAGUE_NAMES = frozenset(
    [
        *(
            "begun",
            "beside",
            "done",
            "everything",
            "found",
            "given",
            "here",
            "kept",
            "known",
            "left",
            "made",
            "nothing",
        ),
        *("one", "other", "others", "place", "places", "said", "shown", "something", "taken", "there", "these", "told"),
        "wanted",
    ]
)
OPEN_ROOMS = frozenset({"photos", "judging", "service", "cli"})
"""Rooms that may stay flat with more than 14 files."""
LAYERS = "2 x (conv 8, relu, max pool), flatten, dense 8, relu"
SETTINGS = (f"network.layers={LAYERS}", "data.image_size=32", "training.epochs=2")
"""Of a network that trains in a second."""


def main() -> None:
    """Print a table with one column per checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "checkouts", type=Path, nargs="+", help="Folders with src/dogvscat, such as a clone of an old commit."
    )
    parser.add_argument("--walk", type=Path, help=argparse.SUPPRESS)  # the traced process itself
    arguments = parser.parse_args()
    if arguments.walk:
        arguments.walk.write_text(json.dumps(traced_files(arguments.checkouts[0])))
        return
    columns = [measures(checkout.resolve()) for checkout in arguments.checkouts]
    print("| measure | " + " | ".join(commit(checkout) for checkout in arguments.checkouts) + " |")
    print("|---|" + "---|" * len(columns))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")


def measures(checkout: Path) -> dict[str, str]:
    """Every measure of a checkout by name."""
    package = checkout / "src" / "dogvscat"
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    rooms = Counter(path.parent.relative_to(package).as_posix() for path in sources if path.name != "__init__.py")
    largest, num_files = max((room for room in rooms.items() if room[0] not in OPEN_ROOMS), key=lambda room: room[1])
    visits = walk(checkout)
    names = [name for tree in trees.values() for name in bound_names(tree)]
    num_vague = sum(name in VAGUE_NAMES for name in names)
    num_comments = sum(len(comment_lines(text)) for text in sources.values())
    num_code = sum(num_code_lines(text, trees[path]) for path, text in sources.items())
    density = 100 * num_comments / num_code
    return {
        "most files in a room (apart from photos, judging, service, cli)": f"{num_files} (`{largest}`)",
        "files entered by one `train`": str(len(set(visits))),
        "returns to a file already left": str(len(visits) - len(set(visits))),
        "vague names per 1,000 bindings": f"{1000 * num_vague / len(names):.1f} ({num_vague} of {len(names):,})",
        "lines with a comment per 100 lines of code": f"{density:.1f} ({num_comments} of {num_code:,})",
        "circles of imports, deferred ones included": str(len(import_circles(package, trees))),
        "errors of `mypy --strict src`": str(num_type_errors(checkout)),
        "words of README.md": f"{num_words(checkout / 'README.md'):,}",
        "words of docs/architecture.md": f"{num_words(checkout / 'docs' / 'architecture.md'):,}",
    }


def commit(checkout: Path) -> str:
    """The commit of a checkout, for the head of its column."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short=7", "HEAD"]
    return f"`{subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}`"


def walk(checkout: Path) -> list[str]:
    """The files that a tiny training visits, in order, without immediate repetitions."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "files.json")
        command = [sys.executable, __file__, str(checkout), "--walk", str(written)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        files: list[str] = json.loads(written.read_text())
    return [file for file, previous in zip(files, [None, *files], strict=False) if file != previous]


def traced_files(checkout: Path) -> list[str]:
    """In this process: the file of each function of the package at its first call, within `train()`."""

    package = f"{checkout / 'src' / 'dogvscat'}{os.sep}"
    sys.path.insert(0, str(checkout / "src"))
    first_calls: dict[tuple[str, str], None] = {}

    def trace(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        is_function = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")
        is_ours = code.co_filename.startswith(package) and code.co_filename.endswith(".py")  # not a compiled template
        if event == "call" and is_function and is_ours:
            first_calls.setdefault((code.co_filename.removeprefix(package), code.co_qualname))

    with tempfile.TemporaryDirectory() as folder:
        os.environ["DOGVSCAT_HOME"] = str(Path(folder, "home"))
        from dogvscat.learning.train import train

        write_sample = _function(package, "photos/drawing", "sample", "write_sample")
        resolve_config = _function(package, "settings", "resolve", "resolve_config")
        write_sample(Path(folder, "photos"), 24, seed=1, image_size=64)
        config = resolve_config("classic", None, SETTINGS)
        sys.setprofile(trace)
        train(Path(folder, "photos"), config, Path(folder, "run"), lambda sentence: None)
        sys.setprofile(None)
    return [file for file, _ in first_calls]


def _function(package: str, room: str, module: str, name: str) -> Any:
    """A function of a room that was a single file in older checkouts."""
    path = f"dogvscat.{room.replace('/', '.')}"
    return getattr(import_module(f"{path}.{module}" if Path(package, room).is_dir() else path), name)


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Every name that code gives to a value: variables, parameters, caught errors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def comment_lines(text: str) -> set[int]:
    """Numbers of the lines that hold a comment, alone or after code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def num_code_lines(text: str, tree: ast.AST) -> int:
    """Lines of code, without blank lines, comments on their own, docstrings and strings that explain an attribute."""
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def import_circles(package: Path, trees: dict[Path, ast.Module]) -> list[set[str]]:
    """Groups of modules that import each other in a circle, imports inside functions included."""
    modules = {module_name(package, path): tree for path, tree in trees.items()}
    imports = {
        name: {target for target in imported_modules(tree) if target in modules} - {name}
        for name, tree in modules.items()
    }
    reachable = {name: _reachable(name, imports) for name in imports}
    circles = {frozenset({name, *(other for other in reachable[name] if name in reachable[other])}) for name in imports}
    return [set(circle) for circle in circles if len(circle) > 1]


def module_name(package: Path, path: Path) -> str:
    """`dogvscat.photos.decoding.decoder` for a file; a package for its `__init__.py`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """What a module may import; `from a import b` counts as `a` and as `a.b`, of which the real one is looked up later.
    Imports for type checkers do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module.count("."):  # the package's own face does not count: its names are looked up lazily
                yield node.module


def _reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in imports[waiting.pop()] - reached:
            reached.add(target)
            waiting.append(target)
    return reached


def num_type_errors(checkout: Path) -> int:
    """Errors that strict type checking finds."""
    command = [sys.executable, "-m", "mypy", "--strict", "src"]
    output = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False).stdout
    return output.count(": error:")


def num_words(document: Path) -> int:
    """Words as `wc -w` counts them."""
    return len(document.read_text(encoding="utf-8").split())


if __name__ == "__main__":
    main()
