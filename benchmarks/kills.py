"""Kill commands at random moments, start them again, and compare the result with that of a command that was not killed.

    python -m benchmarks.kills --out /tmp/kills --kills 100

Each scenario is repeated until it has had that many kills (SIGKILL): in each round the command is killed again and
again, at a moment drawn evenly from its usual time, until it ends by itself. Then its results must be equal to those of
the command that was not killed, byte by byte except for times and dates, and no temporary file may remain. A command
that is started again after a kill must never fail.
"""

import argparse
import csv
import json
import os
import random
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.forked import Ending, import_everything, run_command, run_function
from dogvscat.config import DataConfig
from dogvscat.photos.drawing.sample import write_sample
from dogvscat.photos.manifest import make_manifest
from dogvscat.photos.pixels import cached_pixels
from dogvscat.photos.reading.sources import open_photos
from tests.helpers import quick_base, quick_flags

_MOST_SECONDS = 300.0
_FLAGS = quick_flags(
    "training.epochs=3", "training.batch_size=4", "training.checkpoint_seconds=0.001", "training.threads=1"
)
_STUDY = f"""
seeds = [1, 2]
{quick_base("training.epochs=2", "training.checkpoint_seconds=0.001")}
[settings]
"network.dropout" = [0.2]
"""


@dataclass
class Tally:
    """What happened in one scenario."""

    kills: int = 0
    ends: int = 0
    equal: int = 0
    failures: list[str] = field(default_factory=list)
    """Failures of commands that were started again."""
    leftovers: int = 0
    """Temporary files after the end."""


class Scenario(ABC):
    """Something that can be killed; its results lie in the folder `self.out`."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.folder, self.photos, self.out = folder, photos, folder / "out"

    def prepare(self) -> None:
        """Make the folder as it is before the first command."""
        shutil.rmtree(self.out, ignore_errors=True)

    @abstractmethod
    def command(self) -> list[str]:
        """The command to give now, first or again."""

    def run(self, seconds: float) -> Ending:
        """Give the command and kill it after some seconds."""
        return run_command(self.command(), seconds)

    @abstractmethod
    def result(self) -> str:
        """The results as text, without times and dates."""


class Training(Scenario):
    """A training from its first millisecond to its report."""

    def command(self) -> list[str]:
        """The same command until the training has started, then --resume."""
        if (self.out / "environment.json").exists():
            return ["train", "--resume", str(self.out)]
        return ["train", str(self.photos), "--out", str(self.out), *_FLAGS]

    def result(self) -> str:
        """Weights, optimizer, figures, predictions and bundle."""
        with np.load(self.out / "checkpoint" / "state.npz") as file:
            arrays = {name: file[name].tobytes() for name in file.files if name != "state"}
            state = json.loads(file["state"].tobytes())
        rows = [{**row, "seconds": 0} for row in state["history"]]
        files = ("metrics.json", "predictions.csv", "manifest.csv", "bundle/model.onnx", "bundle/weights.npz")
        parts = [_digest(self.out / name) for name in files]
        return repr(({**state, "epoch_seconds": 0, "history": rows}, sorted(arrays.items()), parts))


class Finalizing(Training):
    """What comes after the last epoch: evaluation, bundle, figures, report."""

    def prepare(self) -> None:
        """A finished run without its bundle and figures."""
        super().prepare()
        kept = self.folder / "trained"
        if not kept.exists():
            ending = self.run(_MOST_SECONDS)
            assert ending.exit_code == 0, ending.stderr  # noqa: S101
            shutil.rmtree(self.out / "bundle")
            for name in ("metrics.json", "predictions.csv", "report.html"):
                (self.out / name).unlink()
            self.out.rename(kept)
        shutil.copytree(kept, self.out)


class Cache(Scenario):
    """The pixel cache of larger drawings."""

    def prepare(self) -> None:
        """No cache."""
        super().prepare()
        self.large = self.folder / "large"
        if not self.large.exists():
            write_sample(self.large, 300, seed=2, image_size=400)
        os.environ["DOGVSCAT_HOME"] = str(self.out)

    def command(self) -> list[str]:
        """No command builds only a cache."""
        return []

    def run(self, seconds: float) -> Ending:
        """Scan and decode."""

        def build() -> None:
            source = open_photos(self.large)
            cached_pixels(source, make_manifest(source, DataConfig()), 128)

        return run_function(build, seconds)

    def result(self) -> str:
        """The bytes of all caches."""
        return repr(
            [(path.name, _digest(path)) for path in sorted(self.out.rglob("*")) if path.suffix in (".npy", ".csv")]
        )


class Predict(Scenario):
    """Predictions in a file."""

    suffix = "csv"

    def prepare(self) -> None:
        """No file."""
        super().prepare()
        self.out.mkdir(parents=True)

    def command(self) -> list[str]:
        """Always the same."""
        return ["predict", str(self.folder.parent / "many"), "--out", str(self.out / f"results.{self.suffix}")]

    def result(self) -> str:
        """The rows, in their order; no other file may be in the folder."""
        files = sorted(path for path in self.out.iterdir())
        if self.suffix == "parquet":
            import pyarrow.parquet

            return repr(([file.name for file in files], pyarrow.parquet.read_table(files[0]).to_pylist()))
        return repr([(file.name, file.read_bytes()) for file in files])


class PredictParquet(Predict):
    """The same in Parquet, which cannot be appended to."""

    suffix = "parquet"


class Export(Scenario):
    """An export over an earlier one: after each kill, one of the two is there, or comes back with the next command."""

    def command(self) -> list[str]:
        """Always the same."""
        return ["export", "best", "--format", "onnx", "--out", str(self.out / "model")]

    def result(self) -> str:
        """Every file."""
        files = sorted(path for path in (self.out / "model").rglob("*") if path.is_file())
        return repr([(path.name, _digest(path)) for path in files])


class Study(Scenario):
    """Two seeds, one change: four trainings."""

    def command(self) -> list[str]:
        """Always the same."""
        plan = self.folder / "plan.toml"
        plan.write_text(_STUDY)
        return ["study", str(self.photos), "--config", str(plan), "--out", str(self.out)]

    def result(self) -> str:
        """The table without times."""
        return _table(self.out / "study.csv", {"seconds"})


class AuditLabels(Scenario):
    """Two folds, and the table of doubtful labels."""

    def command(self) -> list[str]:
        """Always the same."""
        flags = [*_FLAGS, "--set=training.schedule=one_cycle"]
        return ["audit", str(self.photos), "--labels", "--folds=2", "--out", str(self.out), *flags]

    def result(self) -> str:
        """Predictions of both folds, and the issues."""
        folds = [_digest(self.out / "folds" / number / "out_of_fold.csv") for number in ("1", "2")]
        return repr((folds, _digest(self.out / "issues.csv")))


SCENARIOS: dict[str, Callable[[Path, Path], Scenario]] = {
    "train": Training,
    "finalize": Finalizing,
    "cache": Cache,
    "predict csv": Predict,
    "predict parquet": PredictParquet,
    "export": Export,
    "study": Study,
    "audit --labels": AuditLabels,
}


def main() -> None:
    """Run the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    parser.add_argument("--kills", type=int, default=100, help="per scenario")
    parser.add_argument("--only", default="", help="names of scenarios, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import_everything()
    out, home = arguments.out, arguments.out / "home"
    photos = out / "photos"
    if not photos.exists():
        write_sample(photos, 48, seed=1, image_size=64)
        write_sample(out / "many", 1500, seed=3, image_size=64)
    names = [name for name in SCENARIOS if not arguments.only or name in arguments.only.split(",")]
    print("| scenario | kills | ends | equal to the uninterrupted end | failed commands | left-overs |")
    print("|---|---|---|---|---|---|", flush=True)
    tallies = []
    for name in names:
        os.environ["DOGVSCAT_HOME"] = str(home)
        scenario = SCENARIOS[name](out / name.replace(" ", "-"), photos)
        scenario.folder.mkdir(parents=True, exist_ok=True)
        tally = torture(scenario, arguments.kills, random.Random(arguments.seed))
        tallies.append(tally)
        equal, failed = f"{tally.equal} of {tally.ends}", len(tally.failures)
        print(f"| {name} | {tally.kills} | {tally.ends} | {equal} | {failed} | {tally.leftovers} |", flush=True)
        for failure in tally.failures[:5]:
            print(f"    {failure}", file=sys.stderr, flush=True)
    print(f"\n{sum(tally.kills for tally in tallies):,} kills")
    sys.exit(any(tally.failures or tally.leftovers or tally.equal < tally.ends for tally in tallies))


def torture(scenario: Scenario, num_kills: int, rng: random.Random) -> Tally:
    """Kill a scenario this often."""
    scenario.prepare()
    ending = scenario.run(_MOST_SECONDS)
    assert ending.exit_code == 0, ending.stderr  # noqa: S101
    expected, usual_seconds, tally = scenario.result(), ending.seconds, Tally()
    while tally.kills < num_kills:
        scenario.prepare()
        while True:
            # The last command of a round is not killed, or a late kill would leave nothing to compare.
            is_last = tally.kills >= num_kills
            ending = scenario.run(_MOST_SECONDS if is_last else rng.uniform(0, usual_seconds))
            if ending.exit_code >= 0:
                break
            tally.kills += 1
        if ending.exit_code:
            tally.failures.append(f"exit code {ending.exit_code}: {ending.stderr[-500:]}")
            continue
        tally.ends += 1
        tally.equal += scenario.result() == expected
        tally.leftovers += len([path for path in scenario.folder.rglob(".*") if path.name.endswith(".partial")])
    return tally


def _digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _table(path: Path, without: set[str]) -> str:
    with path.open(newline="") as file:
        return repr([[value for name, value in row.items() if name not in without] for row in csv.DictReader(file)])


if __name__ == "__main__":
    main()
