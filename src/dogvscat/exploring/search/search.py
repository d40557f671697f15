"""A search: where it looks, how it proposes trials and cuts them short, and the storage that everything is in.

`optuna-dashboard` opens the storage; a search that was killed goes on there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial, TrialState

from dogvscat.config import Config
from dogvscat.errors import UsageError
from dogvscat.exploring.search.space import SearchSpace
from dogvscat.exploring.search.storage import open_storage, using_storage
from dogvscat.judging.intervals import Figure, wilson
from dogvscat.settings import flattened

SAMPLERS = ("tpe", "random")


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        space: Where.
        sampler: `tpe` (Bergstra et al., Algorithms for hyper-parameter optimization, 2011) or `random`.
        pruning: Whether trials are cut short after a sixth or half of their epochs, if not among the best third
            so far (ASHA: Li et al., A system for massively parallel hyperparameter tuning, 2020).
        seed: Of the sampler and of every training.
        storage: URL of a database, or None for a journal file in the folder of the results.
    """

    space: SearchSpace
    sampler: str = "tpe"
    pruning: bool = True
    seed: int = 0
    storage: str | None = None

    @property
    def written(self) -> dict[str, str]:
        """Every entry in words, for whoever looks into the storage, and to tell how another search differs. What is
        fixed stands there setting by setting: a recipe of the same name may have changed since."""
        how = {"recipe": self.space.recipe, "sampler": self.sampler, "pruning": self.pruning, "seed": self.seed}
        fixed = flattened(self.space.config({}, self.seed).model_dump(exclude={"recipe"}))
        space = self.space.model_dump(exclude_defaults=True)["space"]
        told = {"training.seed", *space}  # already, or chosen by the search
        entries = {
            **how,
            **{f"space.{key}": dimension for key, dimension in space.items()},
            **{key: value for key, value in fixed.items() if key not in told},
        }
        return {key: str(value) for key, value in entries.items()}

    def config(self, trial: Trial) -> Config:
        """Every setting of a trial, which is asked for its values.

        Raises:
            ConfigError: for an impossible combination.
        """
        values = {key: dimension.suggest(trial, key) for key, dimension in self.space.space.items()}
        return self.space.config(values, self.seed)


def open_search(search: Search, folder: Path) -> optuna.Study:
    """The search in its storage, new or begun earlier.

    Raises:
        UsageError: if the storage cannot be reached or holds another search.
        WriteError: if its journal cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(search.storage, folder)
    with using_storage(search.storage, folder, "cannot be used"):
        study = optuna.create_study(
            storage=storage,
            sampler=_sampler(search, 0),
            pruner=_pruner(search),
            study_name=f"dogvscat-{search.space.recipe}",
            direction="maximize",
            load_if_exists=True,
        )
        begun = bool(study.get_trials(deepcopy=False))
        if not begun:
            study.set_user_attr("search", search.written)
        known = study.user_attrs.get("search")
    if known != search.written:
        hint = "Choose another --out or --storage, or give the first command again."
        raise UsageError(f"the storage holds another search: {_differences(known, search.written)}", hint=hint)
    return study


def propose(study: optuna.Study, search: Search) -> Trial:
    """The next trial. Its random numbers depend on the seed and its place alone: a search that was stopped proposes
    what it would have proposed, where one generator begun anew would propose its first trials again."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    study.sampler = _sampler(search, len(study.get_trials(deepcopy=False, states=states)))
    return study.ask()


def best_config(study: optuna.Study, search: Search) -> Config | None:
    """The settings of the best finished trial, or None before the first."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        return None
    return search.config(optuna.trial.FixedTrial(study.best_trial.params))  # type: ignore[arg-type]


def best_settings(study: optuna.Study, search: Search) -> dict[str, Any]:
    """What the best finished trial was given, as settings have it.

    Raises:
        ValueError: if no trial is finished.
    """
    return {key: search.space.space[key].value(param) for key, param in study.best_trial.params.items()}


def best_figure(study: optuna.Study) -> Figure:
    """Validation accuracy of the best finished trial, with n and Wilson's interval. It flatters: of many trials the
    luckiest is chosen, on the pictures that it is judged on.

    Raises:
        ValueError: if no trial is finished.
    """
    n = study.best_trial.user_attrs.get("num_validation", 0)  # searches of versions before this one did not keep it
    return wilson(round(n * study.best_value), n) if n else Figure(study.best_value, None, None, 0, "none")


def first_look(search: Search) -> int:
    """After how many epochs the first trials are cut short."""
    return max(1, search.space.config({}, search.seed).training.epochs // 6)


def _differences(earlier: object, now: Mapping[str, str]) -> str:
    """In which entries two searches differ, for example `seed = 5 and not 0`."""
    if not isinstance(earlier, Mapping):
        return "it was not begun by this version of dogvscat"
    keys = [key for key in {**now, **earlier} if now.get(key) != earlier.get(key)]
    return ", ".join(f"{key} = {now.get(key, 'nothing')} and not {earlier.get(key, 'nothing')}" for key in keys)


def _sampler(search: Search, place: int) -> optuna.samplers.BaseSampler:
    """For the trial with so many before it."""
    seed = int(np.random.SeedSequence([search.seed, place]).generate_state(1)[0])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # A density for each setting by itself, as in the searches that were compared with random ones; one for all of them
    # together was worse in one simulation and no different in another (docs/experiments.md).
    return optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=True)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    # Not Hyperband: its brackets learn nothing of each other, so that TPE would begin with ten random trials in each,
    # most of the trials that a few hours allow.
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=first_look(search), reduction_factor=3)
