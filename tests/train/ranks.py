"""One process of several that train together: python -m tests.train.ranks FOLDER RANK SIZE PORT CASE… trains cases, in float64 without dropout,
in the environment that `as_rank` gives.

Run directories are FOLDER/SIZE/case; FOLDER/RANK of SIZE.pt tells what this process saw of each case.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from omegaconf import DictConfig

from seqlab import train as training
from seqlab.config import config_folder
from seqlab.data.base import Batch
from tests.data.spoken_sets import write_spoken

SMALL = (
    "executor=loop",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.precision=64-true",
    "callbacks.record.every=1",
    "logger=none",
)
SGD = ("optimizer=sgd", "optimizer.lr=0.2", "schedule=none")  # Adam makes of a gradient that is 0 but for rounding a whole step
CLASSES = (
    "experiment=temporal_order",
    "data.min_length=10",
    "data.max_length=16",
    "data.num_val=7",
    "data.num_test=5",
    "data.batch_size=4",
    "data.eval_batch_size=3",
)
TAGS = ("experiment=conll", "data.path=FOLDER/tags.txt", "frontend.embedding_size=3", "frontend.spelling_size=3", "data.batch_tokens=12")
TEXT = ("data.path=FOLDER/text.txt", "frontend.embedding_size=3", "data.batch_size=5", "data.eval_batch_size=1", "trainer.gradient_clip_val=0.1")
WATCHED = ("experiment=watched_series", "data.path=FOLDER/table.csv", "data.targets=[a]", "data.window=8", "trainer.max_epochs=2", "trainer.max_steps=-1")
CASES: dict[str, tuple[str, ...]] = {
    # 13 rows in batches of 4: the last has a row for one process alone
    "unequal lengths": (*CLASSES, *SGD, "data.num_train=13", "trainer.max_epochs=3", "task.class_weights=balanced", "task.l2=0.01"),
    "one row at a time": (*CLASSES, *SGD, "data.num_train=3", "data.batch_size=1", "data.eval_batch_size=1", "data.num_val=1", "trainer.max_epochs=1"),
    "adam": (*CLASSES, "optimizer=adam", "schedule=cosine", "data.num_train=13", "trainer.max_epochs=3", "frontend.normalise=true"),
    "accumulation": (
        *(*CLASSES, *SGD, "data.num_train=27", "trainer.max_epochs=3", "trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=0.05"),
        *("callbacks=[default,ema]", "callbacks.ema.decay=0.5"),
    ),
    "plateau and early stopping": (
        *(*CLASSES, *SGD, "data.num_train=13", "trainer.max_epochs=6", "trainer.val_check_interval=2", "monitor=val/loss", "mode=min"),
        *("callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=0.05"),
        *("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.01"),
    ),
    "normalisation over the batch": (
        *("data.num_bits=3", "data.num_pairs=9", "data.batch_size=4", "data.eval_batch_size=5", "frontend=image_convolutions", "frontend.channels=[3]"),
        *("frontend.pools=[[1,1]]", *SGD, "trainer.max_epochs=2"),
    ),
    "overfit": (*CLASSES, *SGD, "data.num_train=27", "overfit=2", "data.batch_size=5", "trainer.max_epochs=3"),
    "tags in token budgets": (*TAGS, *SGD, "head=steps", "trainer.max_epochs=3"),
    "crf": (*TAGS, *SGD, "trainer.max_epochs=3"),
    "streams": ("experiment=char_lm", *TEXT, *SGD, "data.chunk_length=7", "trainer.max_epochs=3"),
    "adaptive softmax": (
        "experiment=char_lm",
        *TEXT,
        *SGD,
        "data.chunk_length=3",
        "trainer.max_epochs=1",
        "head=adaptive",
        "head.cutoffs=[1,3]",
        "head.div_value=1",
    ),
    "sentences": ("experiment=word_lm", *TEXT, *SGD, "data.sentences=lines", "data.batch_tokens=25", "trainer.max_epochs=2", "frontend.uniform=0.5"),
    "seq2seq": (
        *("experiment=reverse", *SGD, "callbacks=[default]", "data.num_train=11", "data.num_val=5", "data.num_test=4", "data.max_length=5"),
        *("data.test_max_length=6", "data.batch_size=4", "data.eval_batch_size=3", "frontend.embedding_size=3", "head.embedding_size=3", "task.beam.size=2"),
        *("trainer.max_epochs=2", "task.label_smoothing=0.1"),
    ),
    "ctc": (
        *("experiment=audio_folder", *SGD, "optimizer.lr=0.05", "callbacks=[default]", "data.path=FOLDER/spoken", "data.table=FOLDER/spoken/transcripts.csv"),
        *("encoder.num_layers=2", "data.batch_size=4", "data.eval_batch_size=2", "trainer.max_epochs=2", "monitor=val/loss"),
    ),
    "forecast": (
        *("experiment=time_series", *SGD, "data.path=FOLDER/table.csv", "data.window=6", "data.horizon=2", "head.loss=quantile", "task.window_scale=last"),
        *("data.batch_size=7", "data.eval_batch_size=5", "trainer.max_epochs=2"),
    ),
    "forecast of the next value": (
        *("experiment=time_series", *SGD, "data.path=FOLDER/table.csv", "data.window=6", "data.horizon=2", "head=next_value"),
        *("data.batch_size=3", "trainer.max_epochs=1"),
    ),
    "anomalies": (*WATCHED, *SGD, "optimizer.lr=0.05", "data.batch_size=3"),
}


class Rows(Callback):
    """Notes what the rows of each training batch are, without their padding, where they count; the learning rate; and what is monitored."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.rates: list[float] = []
        self.monitored: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        lengths = [batch.inputs.shape[1]] * len(batch.inputs) if batch.lengths is None else batch.lengths.tolist()
        rows = [hashlib.sha256(row[:length].numpy().tobytes()).hexdigest() for row, length in zip(batch.inputs, lengths, strict=True)]
        self.batches.append([] if batch.spare else rows)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.monitored.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def write_data(folder: Path) -> None:
    """What the cases read: all of it in unequal lengths."""
    draw = random.Random(0)
    sentences = [[(draw.choice("abcdef"), draw.choice(["O", "B-x", "B-y"])) for _ in range(draw.randint(1, 9))] for _ in range(30)]
    (folder / "tags.txt").write_text("\n\n".join("\n".join(f"{word} {tag}" for word, tag in sentence) for sentence in sentences) + "\n", encoding="utf-8")
    (folder / "text.txt").write_text("".join(" ".join(draw.choices("abcdefgh", k=draw.randint(1, 8))) + "\n" for _ in range(60)), encoding="utf-8")
    write_spoken(folder / "spoken", [" ".join(str(draw.randint(0, 2)) for _ in range(1 + n % 3)) for n in range(15)])
    rows = (f"{draw.gauss(row % 7, 1):.3f},{'' if draw.random() < 0.2 else f'{draw.gauss(0, 1):.3f}'}" for row in range(160))
    (folder / "table.csv").write_text("a,b\n" + "\n".join(rows) + "\n", encoding="utf-8")


def config_of(name: str, folder: Path, size: int) -> DictConfig:
    """The config of a case."""
    ranks = ["trainer=ddp", f"trainer.devices={size}"] if size > 1 else []
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*ranks, *(override.replace("FOLDER", str(folder)) for override in CASES[name]), *SMALL])
    config.cell.hidden_size = 4
    without_dropout(config)
    return config


def without_dropout(config: Any) -> None:
    for key, value in config.items():
        if isinstance(value, DictConfig):
            without_dropout(value)
        elif "dropout" in str(key):
            config[key] = 0.0


def run_case(name: str, folder: Path, size: int) -> dict[str, Any]:
    """Train and test a case; what this process had of it. The rest is in the run directory."""
    rows = Rows()
    make = training.build_trainer

    def build(*arguments: Any) -> Any:
        trainer: Any = make(*arguments)
        trainer.callbacks[:0] = [rows]
        return trainer

    training.build_trainer = build
    try:
        training.train(config_of(name, folder, size), folder / str(size) / name, [])
    finally:
        training.build_trainer = make
    return {"rows": rows.batches, "monitored": rows.monitored, "rates": rows.rates}


def as_rank(rank: int, size: int) -> dict[str, str]:
    """The environment of a rank, as torchrun makes it."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": 0, "TORCHELASTIC_RUN_ID": "test"}
    return os.environ | {"MASTER_ADDR": "localhost", "OMP_NUM_THREADS": "1", **{key: str(value) for key, value in place.items()}}


def main(folder: Path, rank: int, size: int, port: int, names: list[str]) -> None:
    torch.set_num_threads(1)
    training.quiet_libraries()
    nothing: Any = lambda *arguments: None  # noqa: E731
    training.draw_learning_curve = training.draw_confusion = os.fsync = nothing  # most of the time of runs this small
    found = {}
    for number, name in enumerate(names or CASES):
        os.environ["MASTER_PORT"] = str(port + number)  # each of its own: a rank may come to a case when the other has not left the one before
        try:
            found[name] = run_case(name, folder, size)
        except Exception:  # the other cases are told of none the less
            found[name] = {"error": traceback.format_exc()}
    torch.save(found, folder / f"{rank} of {size}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
