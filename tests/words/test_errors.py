"""The error tree, its exit codes, and its description in the module's own words."""

import pickle
import re

import pytest

from dogvscat import errors
from dogvscat.errors import DogvscatError, ImageError

EXIT_CODES = {
    "DogvscatError": 1,
    "UsageError": 2,
    "ConfigError": 2,
    "DataError": 3,
    "ImageError": 3,
    "LayoutError": 3,
    "ArchiveError": 3,
    "FetchError": 3,
    "ModelError": 4,
    "DivergedError": 4,
    "WriteError": 1,
    "ClusterError": 1,
    "Interrupted": 130,
}


def _tree(root: type[DogvscatError]) -> list[type[DogvscatError]]:
    return [root, *(deeper for child in root.__subclasses__() for deeper in _tree(child))]


def test_every_error_has_its_exit_code() -> None:
    tree = [error for error in _tree(DogvscatError) if error.__module__ == errors.__name__]
    assert {error.__name__: error.exit_code for error in tree} == EXIT_CODES


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = re.findall(r"^ {4}([| +-]*)(\w+) +(\d+)  ", str(errors.__doc__), flags=re.MULTILINE)
    ancestors: list[str] = []
    for indentation, name, exit_code in drawn:
        depth = len(indentation) // 4
        ancestors = [*ancestors[:depth], name]
        error = getattr(errors, name)
        assert [base.__name__ for base in reversed(error.__mro__[:-3])] == ancestors  # without Exception and above
        assert error.exit_code == int(exit_code)
    assert {name for _, name, _ in drawn} == EXIT_CODES.keys()


def test_codes_are_words_that_tell_errors_apart() -> None:
    codes = [error.code for error in _tree(DogvscatError) if error.__module__ == errors.__name__]
    codes.remove(ImageError.code)  # each ImageError carries its own
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)


@pytest.mark.parametrize("hint", [None, "Do this."])
def test_message_and_hint_are_kept_apart(hint: str | None) -> None:
    error = DogvscatError("it is wrong", hint=hint)
    assert (str(error), error.message, error.hint) == ("it is wrong", "it is wrong", hint)


def test_an_image_error_names_the_picture_once() -> None:
    error = ImageError("a/b.jpg", "empty", "the file is empty")
    assert (str(error), error.path, error.code) == ("a/b.jpg: the file is empty", "a/b.jpg", "empty")
    assert error.reason == "the file is empty"


@pytest.mark.parametrize(
    "error", [DogvscatError("it is wrong", hint="Do this."), ImageError("a/b.jpg", "empty", "the file is empty")]
)
def test_an_error_is_the_same_in_another_process(error: DogvscatError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)
