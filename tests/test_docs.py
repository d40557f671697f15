"""Docs that can drift from the code are held to it."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from dogvscat.cli.app import command_line
from dogvscat.cli.overview import FIRST_SCREEN, NAMES
from dogvscat.errors import DogvscatError

ROOT = Path(__file__).parent.parent
COMMANDS = NAMES


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command(command: str) -> None:
    assert f"`dogvscat {command}" in read("README.md")


def test_the_first_screen_names_real_commands_only() -> None:
    named = set(re.findall(r"^  dogvscat (\w+)", FIRST_SCREEN, re.MULTILINE))
    assert named <= set(COMMANDS)
    assert {"predict", "train"} <= named


def test_the_overview_has_every_module_with_a_command() -> None:
    modules = {path.stem for path in (ROOT / "src/dogvscat/cli").glob("*.py") if "\ndef command(" in path.read_text()}
    assert sorted(NAMES) == sorted(module.replace("_", "-") for module in modules)


def test_the_makefile_runs_real_commands() -> None:
    run = re.findall(r"/dogvscat (\w+)", read("Makefile"))
    assert run
    assert set(run) <= set(COMMANDS)


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(name for extra in extras.values() for name in extra)]
    names = {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in wanted} - {"dogvscat"}
    explained = (
        read("docs/decisions.md")
        .lower()
        .replace("onnx runtime", "onnxruntime")
        .replace("on tensorflow", "tensorflow-cpu")
    )
    assert {name for name in names if name not in explained} == set()


def test_every_room_is_explained() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "dogvscat").glob("*/**/__init__.py")}
    (tree,) = re.findall(r"## Rooms\n.*?```\n(.*?)```", read("docs/architecture.md"), re.DOTALL)
    assert rooms - set(re.findall(r"^ *(\w+)/ ", tree, re.MULTILINE)) == set()


def test_exit_codes_are_those_documented() -> None:
    codes: set[int] = set()
    waiting = [DogvscatError]
    while waiting:
        kind = waiting.pop()
        codes.add(kind.exit_code)
        waiting += kind.__subclasses__()
    listed = re.search(r"exit code \(0 ok, (.*?)\)", " ".join(read("docs/architecture.md").split()))
    assert listed
    assert codes == {int(code) for code in re.findall(r"\d+", listed.group(1))}


def test_what_is_read_first_stays_short() -> None:
    assert len(read("CONTRIBUTING.md").splitlines()) < 60
    assert len(read("README.md").split()) <= 1000
    assert len(read("docs/architecture.md").split()) <= 900


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md", "docs/decisions.md"])
def test_files_that_a_document_names_exist(document: str) -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|toml|jinja))`", read(document)))
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("[!.]*/**/*.*")] + ["pyproject.toml"]
    assert named
    assert {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)} == set()


def test_commands_in_the_documents_exist_with_their_options() -> None:
    commands = typer.main.get_command(command_line()).commands  # type: ignore[attr-defined]
    options = {name: {opt for param in command.params for opt in param.opts} for name, command in commands.items()}
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for command in re.findall(
            r"(?:^|[`/ ])dogvscat ((?:[a-z-]+) [^`#|\n]*)", document.read_text(encoding="utf-8"), re.M
        ):
            name, *arguments = shlex.split(command, posix=False)
            used = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
            assert used <= options.get(name, set()), f"{document.name}: dogvscat {command}"


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"


def test_the_command_line_is_described_as_it_is() -> None:
    write_reference = runpy.run_path(str(ROOT / "docs" / "write_cli.py"))["write_reference"]
    assert read("docs/cli.md") == write_reference(), "write it again with: make docs"


def test_every_argument_and_option_has_a_help_text() -> None:
    page = read("docs/cli.md")
    assert "None" not in page
    assert all(f"\n## {command}\n" in page for command in COMMANDS)
