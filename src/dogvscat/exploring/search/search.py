"""A search: which settings it tries, how it proposes and prunes trials, and the storage that keeps everything.

`optuna-dashboard` opens the storage; a search that was killed resumes from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, Trial, TrialState

from dogvscat.config import LAYER_CHANGES, Config
from dogvscat.errors import UsageError
from dogvscat.exploring.search.space import SearchSpace
from dogvscat.exploring.search.storage import explaining_storage_errors, open_storage
from dogvscat.judging.intervals import MetricValue, wilson
from dogvscat.settings.keys import flatten

SAMPLERS = ("tpe", "random")
_REDUCTION_FACTOR = 3


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        space: The settings that are tried, and the base.
        sampler: `tpe` (Bergstra et al., Algorithms for hyper-parameter optimization, 2011) or `random`.
        pruning: Whether trials are stopped after a sixth or half of their epochs, unless they are among the best third
            so far (ASHA: Li et al., A system for massively parallel hyperparameter tuning, 2020).
        seed: Seed of the sampler and of every training.
        storage: URL of a database, or None for a journal file in the folder of the results.
    """

    space: SearchSpace
    sampler: str = "tpe"
    pruning: bool = True
    seed: int = 0
    storage: str | None = None

    @property
    def description(self) -> dict[str, str]:
        """Everything that defines this search, as text: for people who open the storage, and to tell searches apart.

        What is fixed is listed setting by setting: a recipe of the same name may have changed since.
        """
        method = {"recipe": self.space.recipe, "sampler": self.sampler, "pruning": self.pruning, "seed": self.seed}
        # A search over the dropout sets it in the layers, so it does not matter what the layers of the recipe have.
        changes = {key: dimension.examples[0] for key, dimension in self.space.space.items() if key in LAYER_CHANGES}
        fixed = flatten(self.space.config(changes, self.seed).model_dump(exclude={"recipe"}))
        space = self.space.model_dump(exclude_defaults=True)["space"]
        listed_elsewhere = {"training.seed", *space}
        entries = {
            **method,
            **{f"space.{key}": dimension for key, dimension in space.items()},
            **{key: value for key, value in fixed.items() if key not in listed_elsewhere},
        }
        return {key: str(value) for key, value in entries.items()}

    def config(self, trial: BaseTrial) -> Config:
        """Every setting of a trial, with the values that the trial suggests.

        Raises:
            ConfigError: for an impossible combination.
        """
        values = {key: dimension.suggest(trial, key) for key, dimension in self.space.space.items()}
        return self.space.config(values, self.seed)


def open_search(search: Search, folder: Path) -> optuna.Study:
    """The search in its storage, new or started earlier.

    Raises:
        UsageError: if the storage cannot be reached or holds another search.
        WriteError: if its journal cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(search.storage, folder)
    with explaining_storage_errors(search.storage, folder, "cannot be used"):
        study = optuna.create_study(
            storage=storage,
            sampler=_sampler(search, 0),
            pruner=_pruner(search),
            study_name=f"dogvscat-{search.space.recipe}",
            direction="maximize",
            load_if_exists=True,
        )
        if not study.get_trials(deepcopy=False):
            study.set_user_attr("search", search.description)
        earlier = study.user_attrs.get("search")
    if earlier != search.description:
        hint = "Choose another --out or --storage, or run the first command again."
        raise UsageError(f"the storage holds another search: {_differences(earlier, search.description)}", hint=hint)
    return study


def propose(study: optuna.Study, search: Search) -> Trial:
    """The next trial.

    Its random numbers depend only on the seed and on the number of trials before it. So a search that was stopped
    proposes what it would have proposed without the stop; one generator, seeded again at the start of each process,
    would propose the first trials a second time.
    """
    # Failed trials do not count: those were stopped and wait to be tried again.
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    study.sampler = _sampler(search, len(study.get_trials(deepcopy=False, states=states)))
    return study.ask()


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count: finished or pruned, and not stopped midway."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def best_config(study: optuna.Study, search: Search) -> Config | None:
    """The settings of the best finished trial, or None before the first."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        return None
    return search.config(FixedTrial(study.best_trial.params))


def best_settings(study: optuna.Study, search: Search) -> dict[str, Any]:
    """The values that the best finished trial was given, as the settings have them.

    Raises:
        ValueError: if no trial is finished.
    """
    return {key: search.space.space[key].value(param) for key, param in study.best_trial.params.items()}


def best_accuracy(study: optuna.Study) -> MetricValue:
    """Validation accuracy of the best finished trial, with n and Wilson's interval.

    It is too optimistic: the luckiest of many trials was chosen, on the same photos that it is evaluated on.

    Raises:
        ValueError: if no trial is finished.
    """
    n = study.best_trial.user_attrs.get("num_validation", 0)  # 0 in searches of earlier versions
    return wilson(round(n * study.best_value), n) if n else MetricValue(study.best_value, None, None, 0, "none")


def first_rung(search: Search) -> int:
    """The number of epochs after which trials are pruned for the first time."""
    return max(1, search.space.config({}, search.seed).training.epochs // 6)


def _differences(earlier: object, current: Mapping[str, str]) -> str:
    """In which entries two searches differ, for example `seed was 0 and is now 5`."""
    if not isinstance(earlier, Mapping):
        return "it was not started by this version of dogvscat"
    keys = [key for key in {**current, **earlier} if current.get(key) != earlier.get(key)]
    return ", ".join(
        f"{key} was {earlier.get(key, 'nothing')} and is now {current.get(key, 'nothing')}" for key in keys
    )


def _sampler(search: Search, num_earlier: int) -> optuna.samplers.BaseSampler:
    """The sampler of the trial that has `num_earlier` trials before it."""
    seed = int(np.random.SeedSequence([search.seed, num_earlier]).generate_state(1)[0])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # multivariate=False: one density per setting, as in the searches that were compared with random search. One joint
    # density was worse in one simulation and no different in another (docs/experiments.md).
    # constant_liar: trials that still run count as bad ones, so that several at a time are not all proposed alike.
    return optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=True)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    """ASHA, successive halving without waiting for others.

    Its rungs are at min_resource * 3**k epochs: a sixth and half of all of them. A trial that reaches a rung continues
    if it is among the best third of the trials that have reached it so far.
    """
    # Not Hyperband: its brackets learn nothing from each other, so TPE would propose its first ten trials at random in
    # each bracket, which is most of the trials that a few hours allow.
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=first_rung(search), reduction_factor=_REDUCTION_FACTOR)
