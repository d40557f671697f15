"""A search: where it looks, how it proposes trials and cuts them short, and the storage that everything is in.

`optuna-dashboard` opens the storage; a search that was killed goes on there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState
from sqlalchemy.engine import make_url

from dogvscat.config import Config
from dogvscat.errors import UsageError
from dogvscat.exploring.space import SearchSpace

JOURNAL_FILE = "trials.journal"
SAMPLERS = ("tpe", "random")


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        space: Where.
        sampler: `tpe` (Bergstra et al., Algorithms for hyper-parameter optimization, 2011) or `random`.
        pruning: Whether trials that fall behind are cut short, by Hyperband (Li et al., JMLR 18, 2018).
        seed: Of the sampler and of every training.
        storage: URL of a database, or None for a journal file in the folder of the results.
    """

    space: SearchSpace
    sampler: str = "tpe"
    pruning: bool = True
    seed: int = 0
    storage: str | None = None

    @property
    def storage_in_memory(self) -> bool:
        """Whether no other process could see the storage."""
        return self.storage is not None and self.storage.startswith("sqlite") and _database(self.storage) is None

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
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _reaching(search.storage or str(folder / JOURNAL_FILE)):
        study = optuna.create_study(
            storage=_storage(search.storage, folder),
            sampler=_sampler(search),
            pruner=_pruner(search),
            study_name=f"dogvscat-{search.space.recipe}",
            direction="maximize",
            load_if_exists=True,
        )
        known = study.user_attrs.get("search")
        wanted = f"{search.space.fingerprint}-{search.sampler}-{search.pruning}-{search.seed}"
        if known is None:
            study.set_user_attr("search", wanted)
    if known not in (None, wanted):
        hint = "Choose another --out or --storage, or give the first command again."
        raise UsageError("the storage holds another search: its space, sampler, pruning or seed differ", hint=hint)
    return study


def best_config(study: optuna.Study, search: Search) -> Config | None:
    """The settings of the best finished trial, or None before the first."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        return None
    return search.config(optuna.trial.FixedTrial(study.best_trial.params))  # type: ignore[arg-type]


def _storage(url: str | None, folder: Path) -> BaseStorage:
    if url is not None:
        database = _database(url)  # absolute: trials may run in processes with another working directory
        return RDBStorage(make_url(url).set(database=database).render_as_string(hide_password=False))
    folder.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL_FILE)))


def _database(url: str) -> str | None:
    """The database that a URL names; of SQLite the absolute path of its file, or None in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return parsed.database
    return None if parsed.database in (None, "", ":memory:") else str(Path(str(parsed.database)).absolute())


def _sampler(search: Search) -> optuna.samplers.BaseSampler:
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=search.seed)
    return optuna.samplers.TPESampler(seed=search.seed, multivariate=True)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    epochs = search.space.config({}, search.seed).training.epochs
    return optuna.pruners.HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs)


@contextmanager
def _reaching(where: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # SQLAlchemy, its drivers and Optuna have dozens of kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = "Check the address, or leave --storage out for a file beside the results."
        raise UsageError(f"the storage {where} cannot be used: {reason}", hint=hint) from None
