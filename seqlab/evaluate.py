"""The test figures of a run, from its checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seqlab import run_directory
from seqlab.build import build_data
from seqlab.callbacks.progress import Progress
from seqlab.registry import unknown
from seqlab.runs import check_targets, load_run, read_config
from seqlab.train import batches, check_device, quiet_libraries


def evaluate(
    run: str | Path, checkpoint: str | None = None, plugins: Sequence[str] = (), changes: Sequence[str] = (), progress: bool = False
) -> dict[str, float]:
    """{"test/…": value} of a run. checkpoint: "best", "last", or None for the one that training tested.

    changes: "data.KEY=VALUE" and "trainer.KEY=VALUE" that take the place of what the run's config says. Raises
    ValueError as `load_run` does, and for a key that the config has not.
    """
    quiet_libraries()
    directory = Path(run).expanduser()
    config = read_config(directory)
    check_targets(config, ("data", "trainer"), directory / run_directory.CONFIG)
    config = changed(config, changes)
    check_device(config.trainer.accelerator)
    best = directory / run_directory.CHECKPOINTS / "best.ckpt"
    loaded = load_run(directory, checkpoint or ("best" if config.test_best and best.is_file() else "last"), plugins)
    data = build_data(config)
    config.trainer.enable_progress_bar = progress
    callbacks = [Progress()] if progress else []
    trainer = instantiate(config.trainer)(callbacks=callbacks, logger=False, enable_checkpointing=False, default_root_dir=str(directory))
    trainer.test(loaded.task, verbose=False, **batches(data, config.overfit)[1])
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def changed(config: DictConfig, changes: Sequence[str]) -> DictConfig:
    """The config with KEY=VALUE changes, values as YAML reads them. Raises ValueError for a key that it has not."""
    for change in changes:
        key, equals, _ = change.partition("=")
        above, _, name = key.rpartition(".")
        node = OmegaConf.select(config, above)
        if not isinstance(node, DictConfig) or name not in node:
            known = [str(k) for k in node if not str(k).startswith("_")] if isinstance(node, DictConfig) else list(map(str, config))
            raise ValueError(unknown(f"key of {above!r}", name, known))
        if not equals:
            raise ValueError(f"{key!r} has no value; expected {key}=VALUE.")
    return OmegaConf.merge(config, OmegaConf.from_dotlist(list(changes)))  # pyright: ignore[reportReturnType]


def compare(run: str | Path, metrics: dict[str, float]) -> str:
    """One sentence: whether the figures are those that training wrote into summary.json."""
    path = Path(run).expanduser() / run_directory.SUMMARY
    if not path.is_file():
        return f"there is no {path} to compare with."
    before = json.loads(path.read_text(encoding="utf-8"))["metrics"]
    different = [name for name, value in metrics.items() if name not in before or not same(value, before[name])]
    if not different:
        return f"equal to {path}."
    return f"different from {path}: " + ", ".join(f"{name} was {before.get(name)}" for name in different) + "."


def same(value: float, before: float | None) -> bool:
    """Exactly equal; before: of summary.json, where None is what is no finite number."""
    return value == before if math.isfinite(value) else before is None
