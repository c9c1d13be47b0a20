"""From a composed config to a trained model and its run directory; `seqlab train` is `seqlab.train_command`."""

from __future__ import annotations

import itertools
import logging
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from seqlab import run_directory
from seqlab.build import build_data, build_task
from seqlab.callbacks.checkpoints import Checkpoints
from seqlab.callbacks.interrupt import Interrupted, StopOnInterrupt
from seqlab.callbacks.pruning import Pruned
from seqlab.callbacks.record import Record
from seqlab.checkpoint import WholeFiles, check_fits, load_weights, read_checkpoint
from seqlab.config_checks import check_device, check_directions, check_values
from seqlab.data.base import SequenceDataModule
from seqlab.data.order import FromBatch, Share
from seqlab.fingerprint import fingerprint, keep_or_compare
from seqlab.learning_curve import draw_learning_curve
from seqlab.loggers import Wandb
from seqlab.match import match_parameters
from seqlab.metrics_file import MetricsFile
from seqlab.pictures.confusion import draw_confusion
from seqlab.ranks.group import ALONE, Group, joined
from seqlab.resume import Start, reclaim, sole_user, start_of
from seqlab.show import console, metrics_table
from seqlab.stopping import explained, stopped
from seqlab.summary import summarise
from seqlab.tasks import Task
from seqlab.warm_start import warm_start

log = logging.getLogger("seqlab")


def train(config: DictConfig, directory: Path, overrides: list[str], resuming: bool = False) -> float | None:
    """Train what the config says, write the run directory, and return the metric named by `config.monitor`.

    resuming: the directory holds this run already, and it goes on from its newest checkpoint. The metric is that of the
    state that was tested. Raises ValueError for a config that cannot be run, leaving no directory, FloatingPointError for
    a loss that is no number, OSError for a disk that takes no checkpoint, KeyboardInterrupt after Ctrl-C and SystemExit
    after another signal, the last four with all records written.
    """
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    check_values(config)
    check_device(config.trainer)
    text = OmegaConf.to_yaml(OmegaConf.create(resolved))
    with joined(config.trainer) as ranks, ExitStack() as held:
        ranks.agree({**resolved, "versions": run_directory.versions()})
        directory, resuming = ranks.from_first((directory, resuming))  # of ranks that torchrun started, each has its own time of day
        before = None
        with ranks.first_goes_first():
            if ranks.is_first and not resuming:
                before = run_directory.claim(directory, text, OmegaConf.to_yaml(overrides))
            held.enter_context(sole_user(directory))
            if ranks.is_first and resuming:
                reclaim(directory, text, overrides)
        return train_in(config, resolved, directory, start_of(config, directory, resuming), before, ranks)


def train_in(config: DictConfig, resolved: dict[str, Any], directory: Path, start: Start, before: frozenset[str] | None, ranks: Group = ALONE) -> float | None:
    """`train` in a directory that is this run's. before: what `run_directory.claim` returned of it, when it is a new one. Of several
    ranks the first writes the records, and returns the metric."""
    started, commits = time.perf_counter(), run_directory.commits()  # now: the files may be others when the run ends
    try:
        data, task, trainer = build(config, resolved, directory, start, ranks)
    except BaseException:
        if before is not None:
            run_directory.release(directory, before)
        raise
    status, tested = "failed", {}
    stop = next(c for c in trainer.callbacks if isinstance(c, StopOnInterrupt))  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with stop.listening():
            tested = fit_and_test(config, data, task, trainer, start, ranks)
        status = "finished"
    except Interrupted as interruption:
        status = "interrupted"
        raise stopped(interruption, trainer.global_step, directory) from interruption
    except Pruned as pruned:
        status = "pruned"
        log.info(f"pruned at step {trainer.global_step}: {pruned}")
    except (RuntimeError, OSError) as error:
        if (better := explained(error, directory)) is None:
            raise
        raise better from error
    finally:
        run = {"status": status, "seconds": start.seconds + time.perf_counter() - started, "resumed_at_step": start.step, "processes": ranks.size, **commits}
        try:
            metrics = write_records(config, directory, task, trainer, run, tested) if ranks.is_first else {}
        except OSError as error:
            if status == "finished":
                raise
            log.error("the records of the run cannot be written: %s", error)  # what stopped the run is said, not this
            metrics = {}
    lines = task.closing_lines(data) if tested else []  # of all ranks: where weights are divided, all take part
    if not ranks.is_first:
        return None
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(metrics_table(metrics))
    console.print(f"run directory: {directory}", highlight=False, markup=False, soft_wrap=True)
    return metrics.get(config.monitor)


def build(config: DictConfig, resolved: dict[str, Any], directory: Path, start: Start, ranks: Group = ALONE) -> tuple[SequenceDataModule, Task, L.Trainer]:
    """All that a run needs, so that what is wrong with a config is found before anything is trained."""
    L.seed_everything(config.seed, verbose=False)
    with ranks.first_goes_first():  # what it downloads, the others find; what it refuses, they need not look at
        data = build_data(config)
        data.start = start.place
        for loader in (data.train_dataloader, data.val_dataloader):
            loader()  # refuses an empty split
        if match_parameters(config, data.spec):
            resolved.update(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True)))
            if ranks.is_first:
                run_directory.write(directory / run_directory.CONFIG, OmegaConf.to_yaml(OmegaConf.create(resolved)))
        records = data.records()
        for name, text in records.items() if ranks.is_first else ():
            run_directory.write(directory / name, text)
        task = build_task(config, data.spec)
        check_directions(config, task)
        keep_or_compare(directory, fingerprint(resolved, data, records), f"data set {type(data).__name__}")
    if config.init_from is not None and config.ckpt_path is not None:
        raise ValueError(f"init_from is {config.init_from} and ckpt_path {config.ckpt_path}; expected one of them: a checkpoint has all weights already.")
    if start.checkpoint is not None:
        check_fits(read_checkpoint(start.checkpoint), task, start.checkpoint)
    else:
        task.prepare(data)
        if config.init_from is not None:
            warm_start(task, Path(config.init_from).expanduser(), directory)
    return data, task, build_trainer(config, resolved, directory, start)


def fit_and_test(config: DictConfig, data: SequenceDataModule, task: Task, trainer: L.Trainer, start: Start, ranks: Group = ALONE) -> dict[str, float]:
    """Train, then test the best checkpoint or, with test_best=false or without any validation, the last weights."""
    fit_batches, test_batches = batches(data, config.overfit, Share(trainer.global_rank, trainer.world_size))
    trainer.fit(task, ckpt_path=start.checkpoint, weights_only=True, **fit_batches)
    if start.checkpoint is not None and trainer.global_step == start.step:
        if trainer.should_stop and config.trainer.max_time is None:
            log.warning("nothing was trained: early stopping has ended this run. To train on, start another with ckpt_path=FILE from its last checkpoint.")
        elif start.mark is None:  # a run that is resumed may lack its test alone
            log.warning("nothing was trained: the checkpoint is at the end of its training already. Raise trainer.max_epochs or trainer.max_steps.")
        load_weights(task, start.checkpoint)  # those that are tested, where weights are averaged
    ranks.wait()  # for the first, which may still be writing the best
    if best := best_path(config, trainer):
        load_weights(task, Path(best))  # with ckpt_path= Lightning (2.6.6) would test the weights before averaging
    trainer.test(task, verbose=False, **test_batches)
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}


def write_records(config: DictConfig, directory: Path, task: Task, trainer: L.Trainer, run: dict[str, Any], tested: dict[str, float]) -> dict[str, float]:
    """Write summary.json, learning_curve.png and, where classes were tested, confusion_matrix.png. Returns the metrics of the state that was tested."""
    record = find_record(trainer)
    best = trainer.checkpoint_callback if best_path(config, trainer) else None
    metrics = {**record.latest(), **(best.best_metrics if isinstance(best, Checkpoints) else {}), **tested}
    best_step = best.best_step if isinstance(best, Checkpoints) else None
    chosen = {"monitor": config.monitor, "monitor_value": metrics.get(config.monitor), "best_step": best_step, "tested": "best" if best else "last"}
    summary = {"metrics": metrics, **chosen, **run, **summarise(trainer, task, record), "seed": config.seed, "tags": list(config.tags)}
    run_directory.write_summary(directory, summary)
    if task.confused is not None and tested:
        draw_confusion(directory / run_directory.CONFUSION, task.confused.tolist(), task.labels)
    if record.training:
        draw_learning_curve(directory / run_directory.CURVE, record.training, record.validation, best_step)
    for logger in trainer.loggers:
        if isinstance(logger, Wandb):
            logger.close(failed=run["status"] != "finished")
    return metrics


def find_record(trainer: L.Trainer) -> Record:
    """The record that every run has."""
    return next(c for c in trainer.callbacks if isinstance(c, Record))  # pyright: ignore[reportAttributeAccessIssue]


def best_path(config: DictConfig, trainer: L.Trainer) -> str:
    """The file of the best checkpoint, or an empty string when the last weights are to be tested."""
    return str(getattr(trainer.checkpoint_callback, "best_model_path", "")) if config.test_best else ""


def batches(data: SequenceDataModule, overfit: int, share: Share) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that give the trainer its batches, for `fit` and for `test`.

    overfit > 0: the first `overfit` training batches take the place of every split. share: of these; a data set takes its own.
    """
    if not overfit:
        return {"datamodule": data}, {"datamodule": data}
    place, data.start = data.start, (0, 0)
    first = [batch.part(share) for batch in itertools.islice(data.train_dataloader(), overfit)]

    def loader(place: tuple[int, int] = (0, 0)) -> DataLoader[Any]:
        order, generator = FromBatch(range(len(first)), place), torch.Generator().manual_seed(data.seed)
        return DataLoader(first, batch_size=None, sampler=order, collate_fn=lambda batch: batch, generator=generator)  # pyright: ignore[reportArgumentType]

    return {"train_dataloaders": loader(place), "val_dataloaders": loader()}, {"dataloaders": loader()}


def build_trainer(config: DictConfig, resolved: dict[str, Any], directory: Path, start: Start) -> L.Trainer:
    """The trainer with its loggers and callbacks. What every run has stands here, the rest in the config."""
    metrics = MetricsFile(directory / run_directory.METRICS)
    if start.mark is not None:
        metrics.rewind(start.mark)
    callbacks = [c for c in instantiate(config.callbacks).values() if config.trainer.enable_progress_bar or not isinstance(c, ProgressBar)]
    if not any(isinstance(c, Record) for c in callbacks):
        callbacks.append(Record())
    next(c for c in callbacks if isinstance(c, Record)).refill(metrics.rows)
    loggers = [metrics, *(make(directory=directory, config=resolved, tags=resolved["tags"]) for make in instantiate(config.logger).values())]
    return instantiate(config.trainer)(
        callbacks=[*callbacks, StopOnInterrupt()],  # last, so that it stops after all others have seen the step
        logger=loggers,
        plugins=[WholeFiles(resolved)],
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        default_root_dir=str(directory),
        use_distributed_sampler=False,  # the data set divides its batches itself, and repeats no row to make the shares equal
    )


def quiet_libraries() -> None:
    """Lightning's hints repeat what the config says; its warnings about small loaders do not apply to one's own bench."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    noise = (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*treespec, LeafSpec.*",
        ".*your dataloader is not resumable.*",  # it is, by the place that it is told
        ".*recommended to use .self.log.*sync_dist=True.*",  # what is logged is that of all ranks
        ".*WeightAveraging callback with a model that overrides.*",  # which divides no weights here
        ".*lr_scheduler.step.. before .optimizer.step.*",
        "Glyph .* missing from font",  # seqlab.pictures.fonts says it once, with what to do
    )
    for message in noise:
        warnings.filterwarnings("ignore", message)
