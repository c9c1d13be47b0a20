"""A search by Optuna as a sweeper of Hydra: jobs like those of any sweep, and a study on disk that survives a kill.

hydra-optuna-sweeper 1.3 needs optuna below 3 and keeps its study in memory; hence one of our own. A trial that failed, or was
running when the search was killed, is queued again with the same values by the next search in the directory, and its job goes
the way of every unfinished job.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from seqlab.locks import held
from seqlab.registry import unknown
from seqlab.sweep.ledger import read_summary

log = logging.getLogger("seqlab")
TRIAL = "SEQLAB_TRIAL"  # environment variable of a job: which trial it is, as JSON
STUDY_FILE = "study.journal"


class StudySweeper(Sweeper):
    """Asks Optuna for values of the keys that are given as choices, ranges and intervals, and runs jobs until `num_trials` have a result.
    One that fails counts until the search ends, and is tried again by the next.

    Raises ValueError without optuna, and for a range that it cannot sample.
    """

    def __init__(
        self,
        num_trials: int,
        storage: str | None,
        study_name: str,
        mode: str,
        sampler: str,
        num_startup: int,
        seed: int | None,
        max_batch_size: int,
        params: DictConfig | None = None,
    ) -> None:
        if num_trials < 1 or max_batch_size < 1:
            raise ValueError(f"hydra.sweeper.num_trials is {num_trials} and max_batch_size {max_batch_size}; expected at least 1 of each.")
        self.num_trials = num_trials
        self.storage = storage
        self.study_name = study_name
        self.mode = mode
        self.sampler, self.num_startup, self.seed = sampler, num_startup, seed
        self.max_batch_size = max_batch_size
        self.params = dict(params or {})
        self.config: Any = None
        self.launcher: Any = None
        self.hydra_context: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        directory = Path(self.config.hydra.sweep.dir).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, directory / "multirun.yaml")
        given = {key: f"{key}={value}" for key, value in self.params.items()}
        given |= {word.partition("=")[0]: word for word in arguments}  # the command line has the last word
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(list(given.values()))
        fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
        searched = [override for override in overrides if override.is_sweep_override()]
        if not searched:
            raise ValueError("a search needs keys to vary, and none was given. Write e.g. 'optimizer.lr=tag(log,interval(1e-4,1e-1))' cell=lstm,gru.")
        space = {override.get_key_element(): distribution(override) for override in searched}
        storage = self.storage or str(directory / STUDY_FILE)
        with one_search(directory):
            study = open_study(storage, self.study_name, self.mode)
            seed = None if self.seed is None else self.seed + len(study.trials)  # a search that goes on does not draw the same again
            study.sampler = make_sampler(self.sampler, self.num_startup, seed)
            requeue(study)
            left = self.num_trials - with_result(study)
            while left > 0:
                self._run(study, space, fixed, storage, min(left, self.max_batch_size))
                left -= self.max_batch_size
            tell_best(study)

    def _run(self, study: Any, space: dict[str, Any], fixed: list[str], storage: str, count: int) -> None:
        """Start `count` trials together and tell the study how they ended."""
        optuna = import_optuna()
        trials = [study.ask(space) for _ in range(count)]
        batch = []
        for trial in trials:
            which = json.dumps({"storage": storage, "study_name": self.study_name, "number": trial.number}).replace("'", "\\'")
            batch.append([*fixed, *(f"{key}={_word(value)}" for key, value in trial.params.items()), f"++hydra.job.env_set.{TRIAL}='{which}'"])
        self.validate_batch_is_legal(batch)
        for trial, result in zip(trials, self.launcher.launch(batch, initial_job_idx=trials[0].number), strict=True):
            summary = read_summary(Path(str(result.hydra_cfg.hydra.runtime.output_dir))) or {}
            status, value = summary.get("status"), summary.get("monitor_value")
            if status == "pruned":
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            elif status == "finished" and value is not None:
                study.tell(trial, value)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)


@contextmanager
def one_search(directory: Path) -> Iterator[None]:
    """Two searches in one directory would take each other's running trials for dead ones. Raises ValueError for the second."""
    refusal = ValueError(f"a search is running in {directory} already. Wait for it, or choose another directory with hydra.sweep.dir=DIR.")
    with held(directory / ".search.lock", refusal):
        yield


def open_study(storage: str, name: str, mode: str, pruner: Any = None) -> Any:
    """The study in a storage, made if it is not there. storage: a URL for a database, or the path of a journal file."""
    optuna = import_optuna()
    if mode not in ("min", "max"):
        raise ValueError(unknown("mode", mode, ["min", "max"]))
    place: Any = storage
    if "://" not in storage:
        place = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    return optuna.create_study(storage=place, study_name=name, direction={"min": "minimize", "max": "maximize"}[mode], pruner=pruner, load_if_exists=True)


def import_optuna() -> Any:
    """Raises ValueError with what to do where it is not installed."""
    try:
        optuna: Any = importlib.import_module("optuna")
    except ModuleNotFoundError as error:
        raise ValueError("hparams_search=optuna needs optuna, which is not installed. pip install 'seqlab[sweep]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def make_sampler(name: str, num_startup: int, seed: int | None) -> Any:
    """The sampler by its name."""
    samplers = import_optuna().samplers
    makers = {
        "tpe": lambda: samplers.TPESampler(n_startup_trials=num_startup, seed=seed),
        "random": lambda: samplers.RandomSampler(seed=seed),
    }
    if name not in makers:
        raise ValueError(unknown("sampler", name, list(makers)))
    return makers[name]()


def make_pruner(pruner: str, num_startup: int, num_warmup: int) -> Any:
    """The pruner by its name."""
    pruners = import_optuna().pruners
    makers = {
        "median": lambda: pruners.MedianPruner(n_startup_trials=num_startup, n_warmup_steps=num_warmup),
        "hyperband": lambda: pruners.HyperbandPruner(min_resource=num_warmup + 1),
        "none": pruners.NopPruner,
    }
    if pruner not in makers:
        raise ValueError(unknown("pruner", pruner, list(makers)))
    return makers[pruner]()


def requeue(study: Any) -> None:
    """Trials that were running when a search was killed failed; the values of those that failed, and that no later trial has, are tried again."""
    optuna = import_optuna()
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        later = [other.params or other.system_attrs.get("fixed_params") for other in trials[trial.number + 1 :]]  # one that waits has not got its values yet
        if trial.state == optuna.trial.TrialState.FAIL and trial.params not in later:
            study.enqueue_trial(trial.params)
            log.info(f"trial {trial.number} failed or was cut short, and is queued again: {trial.params}")


def with_result(study: Any) -> int:
    """How many trials ended well, those that were pruned among them."""
    states = import_optuna().trial.TrialState
    return len(study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))


def tell_best(study: Any) -> None:
    """Log the best trial."""
    optuna = import_optuna()
    if study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        best = study.best_trial
        log.info(f"best of {len(study.trials)} trials: {best.value:.5g} with {' '.join(f'{key}={_word(value)}' for key, value in best.params.items())}")


def distribution(override: Override) -> Any:
    """Optuna's distribution for a=1,2, choice(…), range(…), interval(…), int(interval(…)), and tag(log,…) of the two."""
    distributions = import_optuna().distributions
    value: Any = override.value()
    logarithmic = "log" in getattr(value, "tags", ())
    if isinstance(value, ChoiceSweep):
        return distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    if isinstance(value, IntervalSweep):
        kind = distributions.IntDistribution if isinstance(value.start, int) and isinstance(value.end, int) else distributions.FloatDistribution
        return kind(value.start, value.end, log=logarithmic)
    if isinstance(value, RangeSweep) and all(isinstance(bound, int) for bound in (value.start, value.stop, value.step)):
        last: Any = list(range(value.start, value.stop, value.step))  # pyright: ignore[reportArgumentType]
        return distributions.CategoricalDistribution([str(one) for one in last])
    raise ValueError(f"{override.input_line} cannot be searched. Write values with commas, range(1,9,2), interval(0.1,1) or tag(log,interval(1e-4,1e-1)).")


def _word(value: Any) -> str:
    """The value as the command line takes it; of a choice the text that was written there."""
    return value if isinstance(value, str) else repr(value)
