"""What `dogvscat`, `dogvscat --help` and `dogvscat --version` print, without importing a command or Typer."""

from collections.abc import Sequence

from dogvscat._version import __version__

FIRST_SCREEN = """\
dogvscat tells dogs from cats in photographs, with networks trained from scratch.

Use the bundled model
  dogvscat predict photo.jpg                      which animal a photo shows, with probabilities
  dogvscat explain photo.jpg --out why/           which parts of the photo decided, as a heat map
  dogvscat visualize --out inside/                a web page: what each layer of the network makes of a photo
  dogvscat serve                                  a web page to drop photos on, and an HTTP service
  dogvscat export --format litert --out app/      convert the model for a phone, a browser or another library

Train your own
  dogvscat train photos/                          from a folder or zip file with one folder per class (recipe: fast)
  dogvscat train photos/ --recipe classic         the small, plain network to learn from
  dogvscat evaluate runs/fast-1 new/ --out eval/  measure the trained model on other photos
  dogvscat network classic                        the layers of a network, as a table and a picture
  dogvscat compare runs/fast-1 runs/classic-1     which of two runs is better, and is the difference more than luck?
  dogvscat study photos/ --out study/             what does each technique do? (see also tune, lr-find and runs)

Photos
  dogvscat audit photos/                          find broken, duplicate and odd photos before training
  dogvscat fetch                                  download 25,000 photos of cats and dogs
  dogvscat sample drawings/                       draw cats and dogs, to try everything without photos

Start with `dogvscat predict` on a photo of your own. `dogvscat --help` lists every command,
and `dogvscat COMMAND --help` explains one.
"""

COMMANDS = {
    "Use a model": {
        "predict": "Which animal does each photo show, and with what probability?",
        "explain": "A heat map over each photo: where is the evidence for the answer?",
        "visualize": "A web page that shows what each layer makes of a photo.",
        "serve": "An HTTP service with a web page to drop photos on.",
        "export": "Convert a model for a phone, a browser or another library.",
        "sign": "Sign a model, so that others can check who made it.",
    },
    "Train a model": {
        "train": "Train a network from scratch, evaluate it and write a report.",
        "evaluate": "Measure a model on labeled photos.",
        "compare": "Which of several trainings is best, and is it more than luck?",
        "runs": "List the trainings in a folder, finished or not.",
        "network": "The layers of a network, as a table and a picture.",
        "study": "What does each technique do? Changes one setting at a time.",
        "tune": "Search for better settings.",
        "lr-find": "Suggest a learning rate.",
    },
    "Prepare photos": {
        "audit": "Find broken, duplicate and odd photos, and wrong labels.",
        "fetch": "Download 25,000 photos of cats and dogs.",
        "sample": "Draw cats and dogs, to try everything without photos.",
        "cache": "Show or clear the files that are kept between commands.",
    },
}
"""A line for each command, in groups. The name of a command is that of its module, with `-` for `_`."""
NAMES = [name for group in COMMANDS.values() for name in group]


def overview(arguments: Sequence[str]) -> str | None:
    """The text to print for a command line without a command; None if it has one.

    Args:
        arguments: Without the program's name.
    """
    if not arguments:
        return FIRST_SCREEN
    if arguments[0] == "--version":
        return f"dogvscat {__version__}\n"
    return _help() if arguments[0] in ("-h", "--help") else None


def _help() -> str:
    lines = ["Usage: dogvscat COMMAND [OPTIONS] [ARGUMENTS]"]
    for title, group in COMMANDS.items():
        lines += ["", title, *(f"  {name:<10} {purpose}" for name, purpose in group.items())]
    lines += ["", "Options", "  --version  Print the version.", "  --help     Print this page.", ""]
    return "\n".join([*lines, "`dogvscat COMMAND --help` explains a command and its options.", ""])
