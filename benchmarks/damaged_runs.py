"""What do the commands do with a damaged run folder?

    python -m benchmarks.damaged_runs --out /tmp/damaged --sample 300

Trains two small networks, damages a copy of the first in every way that tests/run_damage.py knows, and gives it to
every command that takes a run. Two outcomes are good. Either the command ends with exit code 3 or 4 and a sentence that
names a file of the run; or it ends with exit code 0 and the very output that it has for the undamaged run. Everything
else is listed at the end: a traceback, a crash, another exit code, a different output, more than a minute.

With --sample only a random part of the damages is tried.
"""

import argparse
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.forked import Ending, import_everything, run_command
from dogvscat.photos.drawing.sample import write_sample
from tests.helpers import QUICK
from tests.run_damage import damages

_SECONDS = 60.0
_GOOD = ("refused", "unaffected")


@dataclass(frozen=True)
class Place:
    """Where a damaged run lies, and what the commands need besides it."""

    run: Path
    healthy: Path
    photos: Path
    out: Path

    def commands(self) -> dict[str, list[str]]:
        """The arguments of every command that takes a run; `train --resume` is the last, as it writes into it."""
        photo = str(next((self.photos / "cat").iterdir()))
        return {
            "runs": ["runs", str(self.run.parent), "--json"],
            "compare": ["compare", str(self.run), str(self.healthy), "--json"],
            "compare (second)": ["compare", str(self.healthy), str(self.run), "--json"],
            "network": ["network", str(self.run), "--json"],
            "predict": ["predict", photo, "--model", str(self.run), "--json"],
            "explain": ["explain", photo, "--model", str(self.run), "--out", str(self.out / "why"), "--json"],
            "evaluate": ["evaluate", str(self.run), str(self.photos), "--json"],
            "export": ["export", str(self.run), "--format", "onnx", "--out", str(self.out / "onnx"), "--json"],
            "resume": ["train", "--resume", str(self.run), "--json"],
        }


def main() -> None:
    """Try the damages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="an empty folder for the runs")
    parser.add_argument("--sample", type=int, help="number of damages; all if it is left out")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", help="only damages whose name has this text, such as environment.json")
    parser.add_argument("--commands", default="", help="only these, separated by commas, such as resume,runs")
    arguments = parser.parse_args()
    os.environ["DOGVSCAT_HOME"] = str(arguments.out / "home")
    import_everything()
    place = _prepare(arguments.out)
    original = arguments.out / "run"
    every = [damage for damage in damages(original, place.healthy) if arguments.only in str(damage)]
    if arguments.sample is not None:
        every = random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))
    names = [name for name in place.commands() if not arguments.commands or name in arguments.commands.split(",")]
    expected = _undamaged_outputs(original, place, names)
    outcomes: Counter[tuple[str, str]] = Counter()
    most_megabytes = most_seconds = 0.0
    findings = []
    for damage in every:
        for name in names:
            _restore(original, place)
            damage.apply(place.run / damage.file)
            ending = run_command(place.commands()[name], _SECONDS)
            outcome = judge(ending, _output(name, ending, place), expected[name], place.run)
            outcomes[name, outcome] += 1
            most_megabytes, most_seconds = max(most_megabytes, ending.megabytes), max(most_seconds, ending.seconds)
            if outcome not in _GOOD:
                findings.append(f"{outcome}: {name}, {damage}\n    {_last_line(ending.stderr)}")
                print(findings[-1], flush=True)
    _print_table(names, outcomes)
    print(f"\n{len(every)} damages, {outcomes.total():,} commands, {len(findings)} bad endings; ", end="")
    print(f"at most {most_seconds:.0f} s and {most_megabytes:,.0f} MB")
    sys.exit(1 if findings else 0)


def judge(ending: Ending, output: str, expected: str, run: Path) -> str:
    """`refused`, `unaffected`, or in a word or two what was bad about an ending."""
    if ending.exit_code < 0:
        return f"signal {-ending.exit_code}"
    if "Traceback" in ending.stderr:
        return "traceback"
    if ending.exit_code == 0:
        return "unaffected" if output == expected else "other output"
    if ending.exit_code not in (3, 4):
        return f"exit code {ending.exit_code}"
    return "refused" if f"{run}" in ending.stderr and "error:" in ending.stderr else "file not named"


def _prepare(out: Path) -> Place:
    """Two finished runs, and the place where the damaged one will lie."""
    place = Place(out / "place" / "damaged", out / "place" / "healthy", out / "photos", out)
    if not (out / "photos").exists():
        write_sample(out / "photos", 48, seed=1, image_size=64)
    for run, flags in ((out / "run", ["--seed=1"]), (place.healthy, ["--seed=2", "--set=training.learning_rate=0.01"])):
        if not (run / "report.html").exists():
            command = ["train", str(place.photos), "--out", str(run), *QUICK, "--set=training.threads=1", *flags]
            ending = run_command(command, _SECONDS)
            assert ending.exit_code == 0, ending.stderr  # noqa: S101
    return place


def _restore(original: Path, place: Place) -> None:
    for folder in (place.run, place.out / "onnx", place.out / "why"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, place.run)


def _undamaged_outputs(original: Path, place: Place, names: Sequence[str]) -> dict[str, str]:
    expected = {}
    for name in names:
        _restore(original, place)
        ending = run_command(place.commands()[name], _SECONDS)
        assert ending.exit_code == 0, (name, ending.stderr)  # noqa: S101
        expected[name] = _output(name, ending, place)
    return expected


def _output(name: str, ending: Ending, place: Place) -> str:
    """What a command gave. Of a training these are files: the date is in some of the others."""
    if name == "resume" and ending.exit_code == 0:
        files = ("metrics.json", "predictions.csv", "bundle/model.onnx", "bundle/weights.npz")
        return ending.stdout + "".join((place.run / file).read_bytes().hex() for file in files)
    if name == "network":  # the shares of the time are measured
        layers = json.loads(ending.stdout)["layers"] if ending.exit_code == 0 else []
        return str([{key: value for key, value in layer.items() if key != "share"} for layer in layers])
    return ending.stdout


def _print_table(names: Sequence[str], outcomes: Counter[tuple[str, str]]) -> None:
    columns = [*_GOOD, *sorted({outcome for _, outcome in outcomes} - {*_GOOD})]
    print(f"\n| command | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name in names:
        print(f"| {name} | {' | '.join(str(outcomes[name, column]) for column in columns)} |")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return lines[-1][:300] if lines else ""


if __name__ == "__main__":
    main()
