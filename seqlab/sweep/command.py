"""`seqlab sweep status|retry|prune DIR`: what became of the jobs of a sweep. Torch is imported only to train."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from seqlab.config import groups
from seqlab.registry import load_plugin_file
from seqlab.sweep import ledger
from seqlab.sweep.ledger import DONE, Record

DESCRIPTION = "What became of the jobs of a sweep (seqlab train -m): show it, run again what has no result, delete what is of no use."
# what a repeated command may say of Hydra; everything else could run code, a path behind one of these words too
HARMLESS = re.compile(
    r"-m|--multirun|hydra\.mode=\w+|hydra/launcher=(joblib|basic)|hydra\.launcher\.n_jobs=-?\d+|hydra\.sweeper\.(max_batch_size|num_trials|num_startup|sampler|seed)=\w+"
)


def main(argv: list[str]) -> int:
    """Returns 0; 1 when status finds jobs without a result, a retry fails again, or a prune is not confirmed; errors are raised."""
    parser = argparse.ArgumentParser(prog="seqlab sweep", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="every job with its overrides, state and metric; status 1 when some have no result")
    status.add_argument("--json", action="store_true", help="as JSON")
    retry = commands.add_parser("retry", help="run again what failed, was interrupted or never started; what is done stays as it is")
    retry.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a plugin file of the sweep that you trust")
    prune = commands.add_parser("prune", help="delete unfinished attempts, and jobs that an edited cell or config has superseded")
    prune.add_argument("--yes", action="store_true", help="do not ask")
    for command in (status, retry, prune):
        command.add_argument("folder", metavar="DIR", help="the directory of a sweep: hydra.sweep.dir, by default runs/sweeps/EXPERIMENT")
    arguments = parser.parse_args(argv)
    directory = Path(arguments.folder).expanduser().absolute()
    if arguments.command == "status":
        return show_status(directory, arguments.json)
    if arguments.command == "retry":
        return retry_sweeps(directory, arguments.plugin)
    return prune_sweep(directory, arguments.yes)


def show_status(directory: Path, as_json: bool) -> int:
    """Print every job of the directory."""
    latest = ledger.latest_records(directory)
    old = ledger.superseded(directory)
    ended = [(folder / ledger.ENDED).is_file() for folder in ledger.sweep_folders(directory)]
    jobs = list(latest.values())
    without = [record for record in jobs if record.directory not in old and ledger.state_of(directory, record) not in DONE]
    if as_json:
        shown = [{**asdict(job), "state": ledger.state_of(directory, job), "superseded": job.directory in old} for job in jobs]
        print(json.dumps({"directory": str(directory), "ended": ended[-1], "jobs": shown}, indent=2, ensure_ascii=False))
    else:
        from seqlab.show import console
        from seqlab.sweep.table import failure_lines, jobs_table

        console.print(jobs_table(directory, jobs, old))
        for line in failure_lines(directory, jobs):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if not ended[-1]:
            print("The last sweep here has not come to its end: it is running, or was stopped before all of its jobs had started.")
        if without or not ended[-1]:
            print(f"`seqlab sweep retry {shlex.quote(str(directory))}` runs what has no result.")
    return 1 if without or not ended[-1] else 0


def retry_sweeps(directory: Path, plugins: list[str]) -> int:
    """Repeat the command of each sweep here that has jobs without a result; what is done is found done."""
    commands: dict[tuple[str, str], None] = {}
    latest = ledger.latest_records(directory)
    for folder in ledger.sweep_folders(directory):
        jobs = [latest[record.directory] for record in ledger.read_records(folder)]
        if (folder / ledger.ENDED).is_file() and all(ledger.state_of(directory, job) in (*DONE, ledger.RUNNING) for job in jobs):
            continue
        words, where = ledger.read_command(folder)
        argv = [word for word in words if not word.startswith("hydra.sweep.dir=")]
        if not {"-m", "--multirun"} & set(argv) and "hydra.mode=MULTIRUN" not in argv:
            argv.append("hydra.mode=MULTIRUN")  # of an experiment that is a sweep, whose directory may be elsewhere by now
        commands[json.dumps(argv), str(where)] = None
    if not commands:
        print("every job has its result: nothing to retry.")
        return 0
    check_links(directory)
    from seqlab.train_command import main as train

    failed = 0
    here = Path.cwd()
    for written, folder in commands:
        argv = json.loads(written)
        check_harmless(argv, directory, plugins, Path(folder))
        if not Path(folder).is_dir():
            raise ValueError(f"the folder {folder}, in which the sweep was started, is gone. Start it again by hand: {by_hand(argv, directory)}")
        os.chdir(folder)  # the paths of its command begin there
        try:
            failed += train([*argv, sweep_directory_word(directory)]) != 0
        finally:
            os.chdir(here)
    return 1 if failed else 0


def check_links(directory: Path) -> None:
    """Raise ValueError for a link in a sweep's directory or in that of a job, as resume= does of a run: what is written to it goes elsewhere."""
    inside = [place for folder in directory.iterdir() if folder.is_dir() and not folder.is_symlink() for place in folder.iterdir()]
    if linked := sorted(str(place.relative_to(directory)) for place in [*directory.iterdir(), *inside] if place.is_symlink()):
        raise ValueError(
            f"the sweep in {directory} has links in it: {', '.join(linked)}; expected files, since what is written to them goes elsewhere. Remove them."
        )


def check_harmless(argv: list[str], directory: Path, plugins: list[str], folder: Path) -> None:
    """Raise ValueError when a word of a recorded command could run code: a sweep may come from somebody else.

    plugins: files that the user trusts, as named here. folder: where the command runs, and its own paths begin.
    """
    trusted = {Path(file).expanduser().resolve() for file in plugins}
    options = groups()
    for word in argv:
        key, _, value = word.lstrip("+~").removeprefix("hydra.sweeper.params.").partition("=")
        named = [name.strip(" '\"") for name in re.split(r"[\[\](),]", value)]
        files = [str((folder / Path(file).expanduser()).resolve()) for file in named if file] if key == "plugins" else []
        foreign = [file for file in files if Path(file) not in trusted]
        if HARMLESS.fullmatch(word):
            continue
        known = key in options and all(name in options[key] for name in named if name not in ("", "choice", "null"))
        plain = key not in options and not re.search(r"[@/]|^-|^hydra\b", key)  # a value; what has a slash or an @ loads a config
        if not (known or plain) or foreign or "_target_" in word or "$" in word:  # Hydra makes an interpolation of $\{ too
            how = f"Give --plugin {' --plugin '.join(map(shlex.quote, foreign))} if you trust the file. " if foreign else ""
            raise ValueError(
                f"the sweep's command is not repeated, because {word!r} in it could run code. {how}"
                f"If the sweep is yours, start it again by hand: {by_hand(argv, directory)}"
            )
    for file in plugins:
        load_plugin_file(file)


def by_hand(argv: list[str], directory: Path) -> str:
    """The command as one types it."""
    return shlex.join(["seqlab", "train", *argv, sweep_directory_word(directory)])


def sweep_directory_word(directory: Path) -> str:
    """The override of the sweep's directory, quoted for Hydra's grammar."""
    return "hydra.sweep.dir='" + str(directory).replace("'", "\\'") + "'"


def prune_sweep(directory: Path, yes: bool) -> int:
    """Delete, after a question, what no result hangs on."""
    doomed = to_prune(directory)
    if not doomed:
        print("nothing to delete.")
        return 0
    for place, why in doomed:
        print(f"{place}  ({why}, {_size(place) / 2**20:.1f} MiB)")
    if not yes and not (sys.stdin.isatty() and input(f"Delete these {len(doomed)}? [y/N] ").strip().lower() in ("y", "yes")):
        print("Nothing was deleted. --yes deletes without a question.")
        return 1
    still = {place for place, _ in to_prune(directory)}  # while the question stood, a job may have been started again
    for place, _ in doomed:
        if place in still:
            shutil.rmtree(place)
        else:
            print(f"{place} stays: it is in use by now, or done.")
    print(f"{len(still.intersection(place for place, _ in doomed))} deleted.")
    return 0


def to_prune(directory: Path) -> list[tuple[Path, str]]:
    """(directory, why) of what lies in the sweep and is of no use; never a link, the ledger itself, or a job that is running."""
    latest = ledger.latest_records(directory)
    old = ledger.superseded(directory)
    earlier = directory.resolve() / ledger.LEDGER / ledger.EARLIER
    found = [(place, "an earlier attempt") for place in sorted(earlier.glob("*")) if place.resolve().parent == earlier]
    for record in latest.values():
        state, is_old = ledger.state_of(directory, record), record.directory in old
        if (is_old or state not in (*DONE, ledger.RUNNING)) and _is_job_folder(directory, record) and not ledger.is_locked(directory, record.directory):
            found.append((directory / record.directory, "superseded" if is_old else state))
    return [(place, why) for place, why in found if place.is_dir() and not place.is_symlink()]


def _is_job_folder(directory: Path, record: Record) -> bool:
    """Whether the record's directory lies really in the sweep's, below it and outside the ledger."""
    place, root = (directory / record.directory).resolve(), directory.resolve()
    return place != root and place.is_relative_to(root) and not place.is_relative_to(root / ledger.LEDGER)


def _size(place: Path) -> int:
    return sum(file.lstat().st_size for file in place.rglob("*") if file.is_file())
