"""`seqlab train`: Hydra around `seqlab.train.train`, and how it ends when something is wrong.

torch and lightning are imported only when a job starts: `--help` and a misspelt word are answered at once.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException, HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqlab import run_directory
from seqlab.command_errors import EXPECTED, FULL_ERROR, HOW_TO_SEE, say, wants_traceback
from seqlab.config import config_folder
from seqlab.hydra_setup import check_parts, prepare_hydra
from seqlab.overrides import wrong_overrides
from seqlab.sweep.job import names, run_job, started
from seqlab.sweep.ledger import DONE, LEDGER, Record, close_sweep, read_records
from seqlab.sweep.table import jobs_table

COMMAND = "seqlab train"
TRACEBACK = "error.txt"  # in the run directory
# these start every job whatever became of the others
OWN_SWEEPERS = ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "hydra_plugins.seqlab_optuna.OptunaSweeper")
PLUGIN_PATH = Path(__file__).parent / "sweep" / "path"  # holds `hydra_plugins`, the one package that Hydra takes sweepers from
CONFIG_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)


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
                message = _explain_job(error)
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
    record = run_job(config, lambda goes_on: _train(config, goes_on), _explain_job)
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
    directory = given[-1].partition("=")[2].strip("'\"")
    if not (Path(directory) / run_directory.CONFIG).is_file():
        raise ValueError(f"resume={directory} names no run directory: there is no {run_directory.CONFIG} in it. A run's path is the last line of its training.")
    quoted = "'" + directory.replace("'", "\\'") + "'"
    return [*(argument for argument in argv if argument not in given), f"resume={quoted}", f"hydra.run.dir={quoted}"]


def explain(error: BaseException) -> str:
    """What an error says, without the wrapping that Hydra puts around it; the key of the config it concerns comes first."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).partition("full_key: ")[2].strip()
        return f"{key}: {explain(error.__cause__)}" if key else explain(error.__cause__)
    message = str(error).partition("\nConfig search path:")[0]
    if isinstance(error.__cause__, OmegaConfBaseException):  # Hydra's own message may then be empty
        message = f"{message} {error.__cause__}"
    return message or type(error).__name__


def _train(config: DictConfig, goes_on: bool = False) -> float | None:
    """Train, or check the gradient. A run that is refused leaves no directory; one that fails later, its traceback there.

    goes_on: from the newest checkpoint in the run directory, which is this run's.
    """
    directory = Path(HydraConfig.get().runtime.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    present = (directory / run_directory.CONFIG).exists()
    others = present and config.resume is None  # another run's: train() refuses it, and nothing of ours belongs into it
    try:
        check_parts(overrides)
        missing = sorted(OmegaConf.missing_keys(config), key=len)
        if missing:
            raise ValueError(f"{missing[0]} has no value, and this config needs one. Give {missing[0]}=VALUE.")
        from seqlab.train import check_values, quiet_libraries, train

        quiet_libraries()
        if config.gradcheck is not None:
            from seqlab.gradcheck import check_configured

            check_values(config)
            return check_configured(config)
        from seqlab.resume import resumed_config
        from seqlab.stopping import requeued

        if config.resume is not None:
            return train(resumed_config(directory, config, overrides), directory, overrides, resuming=True)
        if present and (goes_on or requeued()):  # SLURM starts the same command line again
            others = False
            return train(config, directory, [], resuming=True)
        return train(config, directory, overrides)
    except Exception as error:
        if hint := _hint(list(HydraConfig.get().overrides.task)):
            error.add_note(hint)
        if not others and (directory / run_directory.CONFIG).exists():
            error.add_note(_keep_traceback(directory / TRACEBACK))
        raise
    finally:
        run_directory.remove_empty(directory)


def _hint(overrides: list[str]) -> str:
    """What to say beside an error when parts were chosen that the default experiment also sets values for; else nothing."""
    chosen = {override.partition("=")[0] for override in overrides}
    if "experiment" in chosen or not chosen & {"data", "task", "head", "frontend"}:
        return ""
    return "(Without experiment=NAME the default one applies, binary_addition, with values for its own data and model; experiment=none leaves them out.)"


def _keep_traceback(file: Path) -> str:
    """Write the traceback of the error that is being handled. Returns where it is."""
    try:
        run_directory.write(file, traceback.format_exc())
    except OSError as error:  # a full disk, say: what is told is the first error
        return f"({file} cannot be written: {error.strerror}. {HOW_TO_SEE})"
    return f"(The traceback is in {file}.)"


def _explain_job(error: Exception) -> str:
    """The message for a job's error. One that nobody foresaw is shown with its traceback."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    cause: BaseException = error
    while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
        cause = cause.__cause__
    foreseen = isinstance(cause, (*EXPECTED, *CONFIG_ERRORS, MisconfigurationException))
    if not foreseen or wants_traceback():
        traceback.print_exception(error)
    if not foreseen:
        return f"{type(cause).__name__}: {explain(error)}"
    notes = getattr(error, "__notes__", [])
    if not any("traceback" in note for note in notes):
        notes = [*notes, f"({HOW_TO_SEE})"]
    return " ".join([explain(error), *notes])


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
