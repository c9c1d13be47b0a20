"""Faults × promises: runs that are hit at a random step and resumed, held against the run that was never stopped.

    python experiments/reliability/run.py [--trials 5] [--seed 0] [--out experiments/reliability/results.csv] [--setup NAME]

Each trial is a process of its own, or two that train together, of which one gets a real signal, or its disk or memory really
ends; it is forked from this one, so that the libraries are loaded once. It is resumed until it ends by itself.
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
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_only

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
SETUPS |= {
    # 7 rows in a batch, of which the first process gets four; the last batch has one
    "two ranks": (*SETUPS["accumulation, EMA, plateau, dropout"], "data.batch_size=7", "trainer=ddp", "trainer.devices=2"),
    "two ranks, streams": (*SETUPS["streams (truncated back-propagation)"], "data.batch_size=5", "trainer=ddp", "trainer.devices=2"),
}
PATIENCE = 10.0  # seconds that a process has to end after another that trained with it
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


def part(directory: Path, options: tuple[str, ...], at: int | None, fault: Callable[[], None], struck: int = 0) -> int:
    """Train in forked processes, from the beginning or from where the run was stopped; the fault meets the one of rank `struck`.

    Returns its exit status, −N for signal N, and where that is 0 the other's. One that outlives it is killed.
    """
    size = 2 if "trainer=ddp" in options else 1
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = [os.fork() or rank_of(directory, options, at if rank == struck else None, fault, rank, size, port) for rank in range(size)]
    status = os.waitstatus_to_exitcode(os.waitpid(children.pop(struck), 0)[1])
    for child in children:
        deadline, ended = time.monotonic() + PATIENCE, (0, 0)
        while not ended[0] and time.monotonic() < deadline:
            time.sleep(0.02)
            ended = os.waitpid(child, os.WNOHANG)
        if not ended[0]:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
        status = status or os.waitstatus_to_exitcode(ended[1])
    return status


def rank_of(directory: Path, options: tuple[str, ...], at: int | None, fault: Callable[[], None], rank: int, size: int, port: int) -> int:
    """One process of a training, to its end: it does not return."""
    log = os.open(directory.with_name(f"{directory.name}.{rank}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 1
    try:
        random.seed(os.urandom(8))
        if size > 1:  # as torchrun says it; Lightning has looked for it when it was imported
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": 0, "MASTER_PORT": port}
            os.environ |= {"TORCHELASTIC_RUN_ID": "trial", "MASTER_ADDR": "localhost", **{key: str(value) for key, value in place.items()}}
            rank_zero_only.rank = rank  # pyright: ignore[reportFunctionMemberAccess]
        make, training.draw_learning_curve = training.build_trainer, lambda *arguments: None  # the picture takes longer than such a run

        def build(*arguments: Any) -> Any:
            trainer: Any = make(*arguments)
            trainer.callbacks[:0] = [Watch(samples_of(directory, rank), at, fault)]
            return trainer

        training.build_trainer = build
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", [*sorted(options, key=lambda option: option != "trainer=ddp"), *COMMON])
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


def samples_of(directory: Path, rank: int) -> Path:
    """Where a process writes down what its batches were."""
    return directory.with_name(f"{directory.name}.{rank}.samples")


def seen_by(directory: Path, rank: int) -> list[list[str]]:
    """[number, digest] of the batches of a process, those done again twice."""
    return [line.split() for line in samples_of(directory, rank).read_text(encoding="utf-8").splitlines()]


def result(directory: Path) -> dict[str, Any]:
    """What a run came to, in digests."""
    checkpoint = read_checkpoint(directory / "checkpoints" / "last.ckpt")
    weights = hashlib.sha256()
    for name in ("state_dict", "current_model_state"):
        for tensor in checkpoint.get(name, {}).values():
            weights.update(tensor.contiguous().numpy().tobytes())
    samples = [sorted(dict(seen_by(directory, rank)).items()) for rank in range(len(checkpoint["resume"]["ranks"]))]
    return {"same weights": weights.hexdigest(), "same metrics": (directory / "metrics.csv").read_text(), "same samples": samples}


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
        struck = draw.randrange(2) if "trainer=ddp" in options and fault != "disk full" else 0  # to which rank 0 alone writes
        status = part(directory, options, at, happen(fault, draw.uniform(0, 0.02)), struck)
        expected = EXITS.get(fault, -signal.SIGKILL)
        as_promised &= status in (expected, 0)  # 0: the run was at its end before the signal came
        if fault.endswith("damaged"):
            damage(directory / "checkpoints", draw)
        found = newest_whole(directory / "checkpoints")
        done = read_checkpoint(found)["resume"]["position"]["total"] if found else 0
        reached = int(seen_by(directory, struck)[-1][0])
        lost = max(lost, reached - done)
    status = part(directory, options, None, lambda: None)
    return as_promised and status == 0, lost


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5, help="random points for each setup and each fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.csv"))
    parser.add_argument("--setup", choices=SETUPS, action="append", help="these alone; of others the rows of OUT stay")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    os.environ["GIT_OPTIONAL_LOCKS"] = "0"  # a summary asks git for the commit: on the full disk its lock file would be left half written
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("seqlab").setLevel(logging.ERROR)
    training.quiet_libraries()
    draw = random.Random(chosen.seed)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    setups = {setup: SETUPS[setup] for setup in chosen.setup or SETUPS}
    kept = [row for row in read(chosen.out) if row["setup"] not in setups] if chosen.setup and chosen.out.is_file() else []
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "text.txt"
        text.write_text("".join(random.Random(0).choices("abcdef ", k=1500)), encoding="utf-8")
        options = {setup: tuple(option.format(text=text) for option in given) for setup, given in setups.items()}
        whole = {}
        for number, setup in enumerate(setups):
            directory = Path(scratch) / f"whole{number}"
            if part(directory, options[setup], None, lambda: None):
                sys.exit(directory.with_name(f"{directory.name}.0.log").read_text(encoding="utf-8"))
            whole[setup] = result(directory)
        for index, setup, fault in itertools.product(range(chosen.trials), setups, FAULTS):
            directory = Path(scratch) / f"run{len(rows)}_{index}"
            row = rows.setdefault((setup, fault), dict.fromkeys(COLUMNS, 0) | {"setup": setup, "fault": fault})
            promised, lost = trial(directory, options[setup], fault, len(whole[setup]["same samples"][0]), draw)
            row["trials"] += 1
            row["expected exit"] += promised
            row["most batches lost"] = max(row["most batches lost"], lost)
            for name, value in result(directory).items():
                row[name] += value == whole[setup][name]
            shutil.rmtree(directory)
            for left in directory.parent.glob(f"{directory.name}.*"):
                left.unlink()
            print(", ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
            write(chosen.out, [*kept, *rows.values()])


def read(path: Path) -> list[dict[str, Any]]:
    """The table as it is."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The table as far as it is known."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
