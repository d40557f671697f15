"""`dogvscat sample`: drawings one can train on, marked as such, and no folder of anybody's touched."""

from pathlib import Path

from tests.helpers import Dogvscat


def pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


def test_a_sample_has_half_of_each_class_and_says_what_it_is(dogvscat: Dogvscat, tmp_path: Path) -> None:
    result = dogvscat("sample", tmp_path / "drawn", "--count", 6)
    assert result.returncode == 0
    assert result.stdout == ""
    assert f"Train on them with: dogvscat train {tmp_path / 'drawn'}" in result.stderr
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["DRAWN_SAMPLE.txt", "cat", "dog"]
    assert [len(list((tmp_path / "drawn" / name).iterdir())) for name in ("cat", "dog")] == [3, 3]
    assert "not photographs" in (tmp_path / "drawn" / "DRAWN_SAMPLE.txt").read_text()


def test_equal_seeds_draw_equal_animals(dogvscat: Dogvscat, tmp_path: Path) -> None:
    for name, seed in {"first": 5, "again": 5, "other": 6}.items():
        assert dogvscat("sample", tmp_path / name, "--count", 4, "--seed", seed).returncode == 0
    first, again, other = (pictures(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())


def test_a_folder_with_something_in_it_is_left_alone(dogvscat: Dogvscat, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = dogvscat("sample", tmp_path)
    assert result.returncode == 1
    assert result.stderr == f"error: {tmp_path} is not empty\nhint: Choose a new or an empty folder.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
