"""Faults × promises: runs that are hit at a random step and resumed, held against the run that was never stopped.

    python experiments/reliability/run.py [--trials 5] [--seed 0] [--out experiments/reliability/results.csv]

Each trial is a process of its own that gets a real signal, or whose disk or memory really ends; it is forked from this one,
so that the libraries are loaded once. It is resumed until it ends by itself.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback

from seqlab import train as training
from seqlab.checkpoint import newest_whole, read_checkpoint
from seqlab.config import config_folder
from seqlab.resume import resumed_config

COMMON = ("executor=loop", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "callbacks.record.every=5", "callbacks.checkpoints.every_steps=4")
ADDER = ("data.num_bits=4", "data.num_pairs=96", "data.batch_size=4", "trainer.max_epochs=2", "trainer.val_check_interval=10", "encoder.num_layers=2")
SETUPS = {
    "dropout, shuffling": (*ADDER, "encoder.dropout=0.3", "optimizer=adam"),
    "accumulation, EMA, plateau, dropout": (
        *(*ADDER, "encoder.dropout=0.3", "optimizer=adam", "trainer.accumulate_grad_batches=3", "callbacks=[default,ema]", "callbacks.ema.decay=0.9"),
        *("schedule=plateau", "schedule.patience=0"),
    ),
    "two worker processes": (*ADDER, "encoder.dropout=0.3", "optimizer=adam", "data.num_workers=2"),
    "streams (truncated back-propagation)": (
        *("experiment=char_lm", "data.path={text}", "data.batch_size=4", "data.chunk_length=8", "encoder.num_layers=1", "encoder.dropout=0.2"),
        *("cell.hidden_size=8", "trainer.max_epochs=2"),
    ),
}
FAULTS = ("SIGKILL", "SIGKILL twice", "SIGKILL, newest checkpoint damaged", "SIGTERM", "SIGINT", "disk full", "out of memory")
EXITS = {"SIGTERM": 143, "SIGINT": 130, "disk full": 1, "out of memory": 1}
COLUMNS = ("setup", "fault", "trials", "same weights", "same metrics", "same samples", "expected exit", "most batches lost")


class Watch(Callback):
    """Writes down what each batch was, and makes the fault happen when batch `at` begins."""

    def __init__(self, samples: Path, at: int | None, happen: Callable[[], None]) -> None:
        self.samples, self.at, self.happen = samples, at, happen

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        number = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        with open(self.samples, "a", encoding="utf-8") as file:
            file.write(f"{number} {hashlib.sha256(batch.inputs.numpy().tobytes()).hexdigest()[:16]}\n")
        if number == self.at:
            self.happen()


def happen(fault: str, delay: float) -> Callable[[], None]:
    """What befalls the process. delay: seconds until a signal comes, so that it meets any place of a step."""
    if fault == "disk full":  # no file may grow beyond this, so that no checkpoint can be written
        return lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (12000, resource.RLIM_INFINITY)))[0]
    if fault == "out of memory":

        def exhaust() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (2**32, resource.RLIM_INFINITY))
            torch.ones(2**33)

        return exhaust
    number = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}.get(fault, signal.SIGKILL)

    def strike() -> None:
        parent = os.getpid()
        if os.fork() == 0:  # from outside, while the run goes on
            try:
                time.sleep(delay)
                os.kill(parent, number)
            finally:
                os._exit(0)

    return strike


def part(directory: Path, options: tuple[str, ...], at: int | None, fault: Callable[[], None]) -> int:
    """Train in a forked process, from the beginning or from where the run was stopped. Returns the exit status, −N for signal N."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    log = os.open(directory.with_name(f"{directory.name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 1
    try:
        random.seed(os.urandom(8))
        make, training.draw_learning_curve = training.build_trainer, lambda *arguments: None  # the picture takes longer than such a run

        def build(*arguments: Any) -> Any:
            trainer: Any = make(*arguments)
            trainer.callbacks[:0] = [Watch(directory.parent / f"{directory.name}.samples", at, fault)]
            return trainer

        training.build_trainer = build
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", [*COMMON, *options])
        resuming = (directory / "config.yaml").exists()
        training.train(resumed_config(directory, config, []) if resuming else config, directory, [], resuming)
        status = 0
    except SystemExit as stop:
        status = int(str(stop.code))
    except KeyboardInterrupt:
        status = 130
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    os._exit(status)


def result(directory: Path) -> dict[str, Any]:
    """What a run came to, in digests."""
    checkpoint = read_checkpoint(directory / "checkpoints" / "last.ckpt")
    weights = hashlib.sha256()
    for name in ("state_dict", "current_model_state"):
        for tensor in checkpoint.get(name, {}).values():
            weights.update(tensor.contiguous().numpy().tobytes())
    samples = dict(line.split() for line in directory.with_name(f"{directory.name}.samples").read_text(encoding="utf-8").splitlines())
    return {"same weights": weights.hexdigest(), "same metrics": (directory / "metrics.csv").read_text(), "same samples": sorted(samples.items())}


def damage(checkpoints: Path, draw: random.Random) -> None:
    """Turn one bit of the newest checkpoint, where there is one before it."""
    path = checkpoints / "last.ckpt"
    if (checkpoints / "previous.ckpt").exists():
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def trial(directory: Path, options: tuple[str, ...], fault: str, batches: int, draw: random.Random) -> tuple[bool, int]:
    """Hit a run at a random batch and let it go on to its end. Returns whether it exited as promised, and how many batches were done again."""
    lost, as_promised = 0, True
    for _ in range(2 if fault == "SIGKILL twice" else 1):
        at = draw.randint(1, batches)
        status = part(directory, options, at, happen(fault, draw.uniform(0, 0.02)))
        expected = EXITS.get(fault, -signal.SIGKILL)
        as_promised &= status in (expected, 0)  # 0: the run was at its end before the signal came
        if fault.endswith("damaged"):
            damage(directory / "checkpoints", draw)
        found = newest_whole(directory / "checkpoints")
        done = read_checkpoint(found)["resume"]["position"]["total"] if found else 0
        reached = max(int(line.split()[0]) for line in directory.with_name(f"{directory.name}.samples").read_text(encoding="utf-8").splitlines()[-1:])
        lost = max(lost, reached - done)
    status = part(directory, options, None, lambda: None)
    return as_promised and status == 0, lost


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5, help="random points for each of the four setups and each fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.csv"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    os.environ["GIT_OPTIONAL_LOCKS"] = "0"  # a summary asks git for the commit: on the full disk its lock file would be left half written
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("seqlab").setLevel(logging.ERROR)
    training.quiet_libraries()
    draw = random.Random(chosen.seed)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "text.txt"
        text.write_text("".join(random.Random(0).choices("abcdef ", k=1500)), encoding="utf-8")
        options = {setup: tuple(option.format(text=text) for option in given) for setup, given in SETUPS.items()}
        whole = {}
        for number, setup in enumerate(SETUPS):
            directory = Path(scratch) / f"whole{number}"
            if part(directory, options[setup], None, lambda: None):
                sys.exit(directory.with_name(f"{directory.name}.log").read_text(encoding="utf-8"))
            whole[setup] = result(directory)
        for index, setup, fault in itertools.product(range(chosen.trials), SETUPS, FAULTS):
            directory = Path(scratch) / f"run{len(rows)}_{index}"
            row = rows.setdefault((setup, fault), dict.fromkeys(COLUMNS, 0) | {"setup": setup, "fault": fault})
            promised, lost = trial(directory, options[setup], fault, len(whole[setup]["same samples"]), draw)
            row["trials"] += 1
            row["expected exit"] += promised
            row["most batches lost"] = max(row["most batches lost"], lost)
            for name, value in result(directory).items():
                row[name] += value == whole[setup][name]
            shutil.rmtree(directory)
            for left in directory.parent.glob(f"{directory.name}.*"):
                left.unlink()
            print(", ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
            write(chosen.out, list(rows.values()))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The table as far as it is known."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
