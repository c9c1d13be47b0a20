"""From a composed config to a trained model and its run directory; `seqlab train` is `seqlab.train_command`."""

from __future__ import annotations

import itertools
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from omegaconf import DictConfig, OmegaConf

from seqlab import run_directory
from seqlab.build import build_data, build_task
from seqlab.callbacks.checkpoints import Checkpoints
from seqlab.callbacks.interrupt import Interrupted, StopOnInterrupt
from seqlab.callbacks.record import Record
from seqlab.checkpoint import WholeFiles, check_fits, read_checkpoint
from seqlab.data.base import SequenceDataModule
from seqlab.learning_curve import draw_learning_curve
from seqlab.loggers import Wandb
from seqlab.metrics_file import MetricsFile
from seqlab.show import console, metrics_table
from seqlab.summary import summarise

log = logging.getLogger("seqlab")


def train(config: DictConfig, directory: Path, overrides: list[str]) -> float | None:
    """Train what the config says, write the run directory, and return the metric named by `config.monitor`.

    The metric is that of the state that was tested. Raises ValueError for a config that cannot be run, leaving the
    directory free, FloatingPointError for a loss that is no number, and KeyboardInterrupt after Ctrl-C, the last two
    with all records written.
    """
    started = time.perf_counter()
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    check_device(config.trainer.accelerator)
    run_directory.claim(directory, OmegaConf.to_yaml(OmegaConf.create(resolved)), OmegaConf.to_yaml(overrides))
    try:
        L.seed_everything(config.seed, verbose=False)
        data = build_data(config)
        for name, text in data.records().items():
            run_directory.write(directory / name, text)
        task = build_task(config, data.spec)
        if config.ckpt_path is not None:
            check_fits(read_checkpoint(Path(config.ckpt_path)), task, Path(config.ckpt_path))
        trainer = build_trainer(config, resolved, directory)
    except BaseException:
        run_directory.release(directory)
        raise
    record = next(c for c in trainer.callbacks if isinstance(c, Record))  # pyright: ignore[reportAttributeAccessIssue]
    checkpoints = trainer.checkpoint_callback
    best = checkpoints if config.test_best and isinstance(checkpoints, Checkpoints) else None
    status, tested = "failed", {}
    try:
        fit_batches, test_batches = batches(data, config.overfit)
        trainer.fit(task, ckpt_path=config.ckpt_path, weights_only=True, **fit_batches)
        trainer.test(task, ckpt_path=(best.best_model_path if best else "") or None, weights_only=True, verbose=False, **test_batches)
        tested = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        status = "finished"
    except Interrupted as stop:
        status = "interrupted"
        raise KeyboardInterrupt(str(stop)) from stop
    finally:
        metrics = {**record.latest(), **(best.best_metrics if best else {}), **tested}
        monitored = metrics.get(config.monitor)
        summary = {"status": status, "metrics": metrics, "monitor": {"name": config.monitor, "value": monitored}}
        summary["best_step"] = best.best_step if best else None
        summary |= {"seconds": time.perf_counter() - started, **summarise(trainer, task, record), "seed": config.seed, "tags": resolved["tags"]}
        run_directory.write_summary(directory, summary)
        if record.training:
            draw_learning_curve(directory / run_directory.CURVE, record.training, record.validation, best.best_step if best else None)
        for logger in trainer.loggers:
            if isinstance(logger, Wandb):
                logger.close(status)
    for line in task.closing_lines(data):
        console.print(line, highlight=False)
    console.print(metrics_table(metrics))
    console.print(f"run directory: {directory}", highlight=False, soft_wrap=True)
    return monitored


def batches(data: SequenceDataModule, overfit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that give the trainer its batches, for `fit` and for `test`.

    overfit > 0: the first `overfit` training batches take the place of every split.
    """
    if not overfit:
        return {"datamodule": data}, {"datamodule": data}
    first = list(itertools.islice(data.train_dataloader(), overfit))
    return {"train_dataloaders": first, "val_dataloaders": first}, {"dataloaders": first}


def build_trainer(config: DictConfig, resolved: dict[str, Any], directory: Path) -> L.Trainer:
    """The trainer with its loggers and callbacks. What every run has stands here, the rest in the config."""
    callbacks = [c for c in instantiate(config.callbacks).values() if config.trainer.enable_progress_bar or not isinstance(c, ProgressBar)]
    if not any(isinstance(c, Record) for c in callbacks):
        callbacks.append(Record())
    loggers = [MetricsFile(directory / run_directory.METRICS)]
    loggers += [make(directory=directory, config=resolved, tags=resolved["tags"]) for make in instantiate(config.logger).values()]
    return instantiate(config.trainer)(
        callbacks=[*callbacks, StopOnInterrupt()],  # last, so that it stops after all others have seen the step
        logger=loggers,
        plugins=[WholeFiles(resolved)],
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        default_root_dir=str(directory),
    )


def check_device(accelerator: str) -> None:
    """Raise ValueError when a GPU is asked for and there is none."""
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available() and not (accelerator == "gpu" and torch.backends.mps.is_available()):
        raise ValueError(
            f"trainer.accelerator is {accelerator!r} but torch {torch.__version__} sees no GPU. "
            "Use trainer=cpu, or install a torch that is built for the GPU of this machine."
        )


def quiet_libraries() -> None:
    """Lightning's hints repeat what the config says; its warnings about small loaders do not apply to one's own bench."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    noise = (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*treespec, LeafSpec.*",
        ".*lr_scheduler.step.. before .optimizer.step.*",
    )
    for message in noise:
        warnings.filterwarnings("ignore", message)
