"""Arguments and options that several commands share: one name, one type and one help text for each.

An argument is optional if the command gives it a default, else required.
"""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cpus import MOST_THREADS
from dogvscat.errors import UsageError

DEFAULT_RECIPE = "fast"  # of every command; repeated in exploring/plan_files.py, which would take long to import here

_ANY_MODEL = "A run folder, a bundle (a folder with card.json and model.onnx), or the name of a bundled model."
_ONE_FOLDER_PER_CLASS = "A folder or zip file with one folder of photos per class."

LabeledPhotos = Annotated[Path, typer.Argument(metavar="PHOTOS", help=_ONE_FOLDER_PER_CLASS)]

OptionalLabeledPhotos = Annotated[
    Path | None, typer.Argument(metavar="PHOTOS", help=f"{_ONE_FOLDER_PER_CLASS} Not needed with --show.")
]

PhotoFiles = Annotated[
    list[str],
    typer.Argument(metavar="PHOTOS", help="Files, folders, or `-` to read a list of paths from stdin, one per line."),
]

OptionalModel = Annotated[
    Path | None, typer.Argument(metavar="MODEL", help=_ANY_MODEL, show_default="best, the bundled model")
]

ClassFolders = Annotated[
    str | None,
    typer.Option(
        "--class-names",
        metavar="CLASS=FOLDER,...",
        help='The class that each folder holds, such as "cat=Mieze,dog=Bello". Not needed for folders with the '
        "usual names for cat and dog, in many languages.",
    ),
]


def parse_class_folders(option: str | None) -> dict[str, str]:
    """The class of each folder, by the folder's name.

    Args:
        option: The value of `ClassFolders`.

    Raises:
        UsageError: if the option is malformed, or gives one folder two classes.
    """
    class_folders: dict[str, str] = {}
    for pair in option.split(",") if option is not None else ():
        class_name, _, folder = (part.strip() for part in pair.partition("="))
        hint = 'Example: --class-names "cat=Mieze,dog=Bello"'
        if not class_name or not folder:
            raise UsageError(f"--class-names: expected CLASS=FOLDER, received {pair.strip()!r}", hint=hint)
        if class_folders.setdefault(folder, class_name) != class_name:
            message = f"--class-names: the folder {folder} cannot mean both {class_folders[folder]} and {class_name}"
            raise UsageError(message, hint=hint)
    return class_folders


Model = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help=_ANY_MODEL,
        show_default="best, the bundled model",
    ),
]

PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--require-signature",
        metavar="KEY",
        help="Use the model only if it is signed with this public key, a PEM file. `dogvscat sign` signs. Needs the "
        "extra `sign`.",
    ),
]

Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Ask the full network about every photo. Otherwise, if the model has a quick first network, the first "
        "network answers the photos that it is sure of. At least 99.8% of the labels are then those of the full "
        "network.",
    ),
]

Recipe = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="Recipe to train with: fast, classic, best, or a TOML file.")
]

Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML file with settings that override those of the recipe.")
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Override one setting, for example `--set training.learning_rate=0.001`. May be repeated.",
    ),
]

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="local|HOST:PORT",
        help="Work on a Ray cluster. `local` starts a cluster on this machine; HOST:PORT joins a running one. All its "
        "machines must see the photos at the same paths. `study` and `tune` need this for the folder --out, too.",
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="CPU threads to use.",
        min=1,
        max=MOST_THREADS,
        show_default="one per CPU that this process may use",
    ),
]

Isolate = Annotated[
    bool,
    typer.Option(
        "--isolate",
        help="Decode photos in separate processes, with at most 2 seconds of CPU time and 300 MB of memory per photo. "
        "For photos from strangers: a photo that needs more, or makes a library crash, is reported like a damaged "
        "photo.",
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document instead of text.")]

AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line instead of text.")]
