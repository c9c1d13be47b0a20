"""`seqlab train`: Hydra around `seqlab.train.train`, and how it ends when something is wrong.

torch and lightning are imported only when a job starts: `--help` and a misspelt word are answered at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seqlab import run_directory
from seqlab.command_errors import EXPECTED, FULL_ERROR, HOW_TO_SEE, say, wants_traceback
from seqlab.config import check_whole, config_folder
from seqlab.hydra_setup import check_parts, prepare_hydra
from seqlab.job_errors import CONFIG_ERRORS, explain, explain_job, keep_traceback
from seqlab.overrides import wrong_overrides
from seqlab.ranks.place import place, ranks_to_start
from seqlab.sweep.job import names, run_job, started
from seqlab.sweep.ledger import DONE, LEDGER, Record, close_sweep, read_records
from seqlab.sweep.table import jobs_table

COMMAND = "seqlab train"
TRACEBACK = "error.txt"  # in the run directory
# these start every job whatever became of the others
OWN_SWEEPERS = ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "hydra_plugins.seqlab_optuna.OptunaSweeper")
PLUGIN_PATH = Path(__file__).parent / "sweep" / "path"  # holds `hydra_plugins`, the one package that Hydra takes sweepers from


class JobFailed(CompactHydraException):
    """One job of a sweep failed; the message says why."""


class Stopped(BaseException):
    """The one job failed, and has said why. No Exception, so that Hydra does not report it a second time."""


def main(argv: list[str]) -> int:
    """`seqlab train [overrides …]`. Returns 0, 1 when training failed, 2 when the command line or a config is wrong."""
    if (sweep := _resumed_sweep(argv)) is not None:
        from seqlab.sweep.command import retry_sweeps

        return retry_sweeps(sweep, [])
    try:
        if (here := place()) is not None and here.size > 1 and {"-m", "--multirun"} & set(argv):
            raise ValueError(
                f"{here.starter} has started {here.size} processes, and each would run the whole sweep. "
                "Start `seqlab train -m` by itself: it starts the processes of each job."
            )
        argv = _where_it_lies(argv)
        sys.argv = [COMMAND, *argv]
        prepare_hydra()
    except EXPECTED as error:
        say(COMMAND, str(error))
        return 2
    if (path := str(PLUGIN_PATH)) not in sys.path:
        sys.path.append(path)
    Plugins.instance().register(importlib.import_module("hydra_plugins.seqlab_optuna").OptunaSweeper)  # Hydra may have looked before
    run_hydra = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")
    full = wants_traceback()
    started.clear()
    seen: list[Record] = []  # the jobs of this process

    def job(config: DictConfig) -> float | None:
        with _environment(FULL_ERROR, "1" if full else None):
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                return _sweep_job(config, seen)
            try:
                return _train(config)
            except Exception as error:
                if full:
                    raise
                message = explain_job(error)
        say(COMMAND, message)
        raise Stopped

    try:
        with _environment(FULL_ERROR, "1"):  # Hydra then raises its errors, instead of printing them and exiting
            run_hydra(job)()
        for _, folder in started:
            close_sweep(folder)
    except Stopped:
        return 1
    except JobFailed as error:  # of a sweeper that looks for the exceptions of its jobs
        if not started:
            say(COMMAND, str(error))
            return 1
    except (*CONFIG_ERRORS, ValueError, TypeError) as error:
        if full:
            raise
        for message in wrong_overrides(argv) or [f"{explain(error)} ({HOW_TO_SEE})"]:
            say(COMMAND, message)
        return 2
    except OSError as error:
        if full:
            raise
        say(COMMAND, f"{error}. Choose another run directory with hydra.run.dir=DIR, for a sweep with hydra.sweep.dir=DIR.")
        return 1
    finally:
        records = [record for directory, folder in started for record in _show_sweep(directory, folder)] or seen
        failed = [record for record in records if record.state not in DONE]
    if failed:
        say(COMMAND, f"failed: {names(failed)}. The other jobs are complete.")
    return 1 if failed else 0


def _sweep_job(config: DictConfig, seen: list[Record]) -> float | None:
    """A job of a sweep: its metric, None when it failed. The failure is in its record, so that no sweeper stops the other jobs for it;
    of the sweepers of others, which read it from an exception, it is one.
    """
    record = run_job(config, lambda goes_on: _train(config, goes_on), explain_job)
    seen.append(record)
    if record.state == "failed":
        say(f"{COMMAND}, {names([record])}", record.message)
        if HydraConfig.get().sweeper._target_ not in OWN_SWEEPERS:
            raise JobFailed(record.message)
    return record.metric


def _show_sweep(directory: Path, folder: Path) -> list[Record]:
    """Print the jobs of a sweep, what became of each, and its metric, when there were several. Returns them."""
    from seqlab.show import console

    records = read_records(folder)
    if len(records) > 1:
        console.print(jobs_table(directory, records))
        console.print(f"sweep directory: {directory}", highlight=False, markup=False, soft_wrap=True)
    return records


def _resumed_sweep(argv: list[str]) -> Path | None:
    """The directory of the sweep that resume=DIR names, None when it names no sweep. All else that can be said of a sweep is in its command."""
    if len(argv) != 1 or not argv[0].startswith("resume="):
        return None
    directory = Path(argv[0].partition("=")[2].strip("'\"")).expanduser().absolute()
    return directory if (directory / LEDGER).is_dir() else None


def _where_it_lies(argv: list[str]) -> list[str]:
    """The arguments with hydra.run.dir=DIR when there is a resume=DIR. Raises ValueError when no run lies there."""
    given = [argument for argument in argv if argument.startswith("resume=")]
    if not given or given[-1] == "resume=null":
        return argv
    directory = str(Path(given[-1].partition("=")[2].strip("'\"")).expanduser())
    if not (Path(directory) / run_directory.CONFIG).is_file():
        raise ValueError(f"resume={directory} names no run directory: there is no {run_directory.CONFIG} in it. A run's path is the last line of its training.")
    quoted = "'" + directory.replace("'", "\\'") + "'"
    return [*(argument for argument in argv if argument not in given), f"resume={quoted}", f"hydra.run.dir={quoted}"]


def _train(config: DictConfig, goes_on: bool = False) -> float | None:
    """Train, or check the gradient. A run that is refused leaves no directory; one that fails later, its traceback there.

    goes_on: from the newest checkpoint in the run directory, which is this run's.
    """
    directory = Path(HydraConfig.get().runtime.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    present = (directory / run_directory.CONFIG).exists()
    others = present and config.resume is None  # another run's: train() refuses it, and nothing of ours belongs into it
    try:
        check_whole(config)
        check_parts(overrides)
        missing = sorted(OmegaConf.missing_keys(config), key=len)
        if missing:
            raise ValueError(f"{missing[0]} has no value, and this config needs one. Give {missing[0]}=VALUE.")
        from seqlab.config_checks import check_values
        from seqlab.train import quiet_libraries

        quiet_libraries()
        if config.gradcheck is not None:
            from seqlab.gradcheck import check_configured

            check_values(config)
            return check_configured(config)
        from seqlab.resume import resumed_config
        from seqlab.stopping import requeued

        if config.resume is not None:
            return _start(resumed_config(directory, config, overrides), directory, overrides, resuming=True)
        if present and (goes_on or requeued()):  # SLURM starts the same command line again
            others = False
            return _start(config, directory, [], resuming=True)
        return _start(config, directory, overrides, resuming=False)
    except Exception as error:
        if hint := _hint(list(HydraConfig.get().overrides.task)):
            error.add_note(hint)
        if not others and (directory / run_directory.CONFIG).exists():
            error.add_note(keep_traceback(directory / TRACEBACK))
        raise
    finally:
        run_directory.remove_empty(directory)


def _start(config: DictConfig, directory: Path, overrides: list[str], resuming: bool) -> float | None:
    """Train here, or start the ranks that train, as the config asks for one process or for several."""
    from seqlab.config_checks import check_device, check_values
    from seqlab.ranks.launch import Job, launch
    from seqlab.train import train

    number = ranks_to_start(config.trainer, place())
    if not number:
        return train(config, directory, overrides, resuming)
    check_values(config)
    check_device(config.trainer)
    resolved = OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(config, resolve=True)))  # pyright: ignore[reportArgumentType]
    hydra = HydraConfig.get()
    log: Any = OmegaConf.to_container(hydra.job_logging, resolve=True)
    return launch(Job(resolved, str(directory), overrides, resuming, log, hydra.verbose), number)


def _hint(overrides: list[str]) -> str:
    """What to say beside an error when parts were chosen that the default experiment also sets values for; else nothing."""
    chosen = {override.partition("=")[0] for override in overrides}
    if "experiment" in chosen or not chosen & {"data", "task", "head", "frontend"}:
        return ""
    return "(Without experiment=NAME the default one applies, binary_addition, with values for its own data and model; experiment=none leaves them out.)"


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """The environment variable set to a value, or unset, for the length of a block."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
