"""`seqlab train`: from a Hydra config to a trained model and its run directory."""

from __future__ import annotations

import logging
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import hydra
import lightning.pytorch as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seqlab import run_directory
from seqlab.build import build_data, build_task
from seqlab.callbacks.record import Record, ValidationCurve, draw_learning_curve
from seqlab.config import config_folder
from seqlab.layers import Layer
from seqlab.metrics_file import MetricsFile
from seqlab.show import console, metrics_table
from seqlab.tasks import Task

log = logging.getLogger("seqlab")


def train(config: DictConfig, directory: Path, overrides: list[str]) -> float | None:
    """Train what the config says, write the run directory, and return the metric named by `config.monitor`."""
    started = time.perf_counter()
    resolved = OmegaConf.to_container(config, resolve=True)
    run_directory.claim(directory, OmegaConf.to_yaml(OmegaConf.create(resolved)), OmegaConf.to_yaml(overrides))  # pyright: ignore[reportArgumentType]
    L.seed_everything(config.seed, verbose=False)
    data = build_data(config)
    for name, text in data.records().items():
        run_directory.write(directory / name, text)
    task = build_task(config, data.spec)
    trainer, record, curve = build_trainer(config, directory)
    trainer.fit(task, datamodule=data, ckpt_path=config.ckpt_path)
    if curve.points or record.curve:
        draw_learning_curve(directory / run_directory.CURVE, record.curve, curve.points)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    best = getattr(trainer.checkpoint_callback, "best_model_path", "") if config.test_best else ""
    tested = trainer.test(task, datamodule=data, ckpt_path=best or None, verbose=False, weights_only=True if best else None)
    metrics |= {name: float(value) for name, value in tested[0].items()}
    run_directory.write_summary(directory, summarise(config, task, metrics, record, time.perf_counter() - started))
    for line in data.examples(task.predict):
        console.print(line, highlight=False)
    console.print(metrics_table(metrics))
    console.print(f"run directory: {directory}", highlight=False, soft_wrap=True)
    return metrics.get(config.monitor)


def build_trainer(config: DictConfig, directory: Path) -> tuple[L.Trainer, Record, ValidationCurve]:
    """The trainer with its loggers and callbacks, and the two callbacks whose records end up in the run directory."""
    callbacks = list(instantiate(config.callbacks).values())
    record = next((c for c in callbacks if isinstance(c, Record)), None) or Record()
    curve = ValidationCurve()
    callbacks = [*[c for c in callbacks if c is not record], record, curve]
    loggers: list[Any] = [MetricsFile(directory / run_directory.METRICS)]
    trainer = instantiate(config.trainer)(callbacks=callbacks, logger=loggers, default_root_dir=str(directory))
    return trainer, record, curve


def summarise(config: DictConfig, task: Task, metrics: dict[str, float], record: Record, seconds: float) -> dict[str, Any]:
    """The content of summary.json."""
    layers = {name: module for name, module in task.model.named_modules() if isinstance(module, Layer)}
    choices = {name: layer.choice() for name, layer in layers.items()}
    return {
        "metrics": metrics,
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "executors": {name: {"executor": choice.executor, "reason": choice.reason} for name, choice in choices.items()},
        "seconds": seconds,
        **record.speed(),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_device_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "seed": config.seed,
        "tags": list(config.tags),
        "versions": run_directory.versions(),
        "git_commit": run_directory.git_commit(),
    }


def _run(config: DictConfig) -> float | None:
    hydra_config = HydraConfig.get()
    directory = Path(hydra_config.runtime.output_dir)
    return train(config, directory, list(hydra_config.overrides.task))


def main(argv: list[str]) -> int:
    """`seqlab train [overrides …]`."""
    quiet_libraries()
    sys.argv = ["seqlab train", *argv]
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(_run)()
    return 0


def quiet_libraries() -> None:
    """Lightning's hints repeat what the config says; its warnings about small loaders do not apply to one's own bench."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*`weights_only` was not set.*", ".*smaller than the logging interval.*"):
        warnings.filterwarnings("ignore", message)
