"""`dogvscat network`: what it prints for a recipe, a run and a bundle."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dogvscat.cli.main import main
from dogvscat.settings.resolve import resolve_config
from dogvscat.settings.toml import to_toml


def network(capsysbinary: pytest.CaptureFixture[bytes], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    code = main(["network", *map(str, arguments)])
    written = capsysbinary.readouterr()
    return code, written.out.decode(), written.err.decode()


def test_the_table_of_a_recipe(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    code, table, _ = network(capsysbinary, "classic")
    assert code == 0
    rows = table.partition("\n\n")[0].splitlines()
    assert len(rows) == 17
    assert rows[0].split() == ["layer", "as", "written", "output", "weights", "MACs", "sees", "work"]
    assert rows[5].split()[-6:] == ["64", "18,496", "15,501,312", "8", "px", "51.6%"]
    assert rows[-1].split() == ["all", "683,329", "30,029,312"]
    assert "work: share of the MACs, which estimates the share of the time" in table
    assert "computed twice" not in table


def test_what_a_change_would_do(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    flags = ("--set", "network.changes=without stage3", "--json")
    code, document, _ = network(capsysbinary, "fast", *flags)
    result = json.loads(document)
    assert code == 0
    assert (result["recipe"], result["image_size"], result["shares"]) == ("fast", 128, "macs")
    assert {layer["stage"] for layer in result["layers"]} == {"", "stem", "stage1", "stage2"}
    assert result["weights"] == sum(layer["num_weights"] for layer in result["layers"])
    assert result["layers"][-1]["output_shape"] == [1]


def test_the_bundled_model_and_a_run_that_is_not_finished(
    capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    code, table, _ = network(capsysbinary)
    assert code == 0
    assert "2,312,546" in table
    assert "time: share of the time of a prediction, measured here with ONNX Runtime" in table
    assert "Each image is computed twice" in table
    (tmp_path / "config.toml").write_text(to_toml(resolve_config("classic")))
    code, document, _ = network(capsysbinary, tmp_path, "--json")
    assert (code, json.loads(document)["weights"]) == (0, 683_329)


def test_pictures_are_written(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    for name in ("network.svg", "network.png"):
        assert network(capsysbinary, "fast", "--picture", tmp_path / name)[0] == 0
    assert (tmp_path / "network.svg").read_text().startswith("<svg ")
    with Image.open(tmp_path / "network.png") as image:
        assert image.width > 1000
    assert network(capsysbinary, "fast", "--picture", tmp_path / "network.gif")[0] == 2


def test_what_is_no_network_is_refused(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    code, _, errors = network(capsysbinary, "clasic")
    assert (code, "Did you mean 'classic'?" in errors) == (2, True)
    code, _, errors = network(capsysbinary, tmp_path)
    assert (code, "holds no bundle" in errors) == (4, True)
