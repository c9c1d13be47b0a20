"""The test figures of a run, from its checkpoint."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import fields
from itertools import zip_longest
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf

from seqlab import run_directory
from seqlab.build import build_data
from seqlab.callbacks.progress import Progress
from seqlab.config_checks import check_device
from seqlab.data.base import DataSpec, SequenceDataModule
from seqlab.data.labelled_text import read_record
from seqlab.data.order import Share
from seqlab.data.vocabulary import VOCABULARY, Vocabulary
from seqlab.evaluate_cache import check_language_model, choose, make_cache
from seqlab.pictures.confusion import draw_confusion
from seqlab.ranks.place import of_one_process
from seqlab.runs import changed, check_targets, load_run, read_config
from seqlab.tasks import Task
from seqlab.train import batches, quiet_libraries


def evaluate(
    run: str | Path,
    checkpoint: str | None = None,
    plugins: Sequence[str] = (),
    changes: Sequence[str] = (),
    picture: str | Path | None = None,
    progress: bool = False,
    cache: int | None = None,
    cache_theta: Sequence[float] | None = None,
    cache_lambda: Sequence[float] | None = None,
) -> dict[str, float]:
    """{"test/…": value} of a run. checkpoint: "best", "last", or None for the one that training tested.

    changes: "data.KEY=VALUE" and "trainer.KEY=VALUE" that take the place of what the run's config says. picture: where the
    confusion matrix of a classifier is drawn, over what is there; None: nowhere.
    cache: steps that a cache beside a language model holds (see seqlab.metrics.neural_cache.NeuralCache), None for no cache.
    Its values are the best of cache_theta × cache_lambda on the validation split alone; the figures with it are
    "test/cache_…", those without it stay. Each stream has a cache of its own: changes=["data.eval_batch_size=1"] is as published.
    Raises ValueError as `load_run` does, for a key that the config has not, for data with other names or symbols, for a picture
    where there is none to draw or no folder for it, for a cache where there is no language model, and for values of the cache
    out of range.
    """
    quiet_libraries()
    tried = make_cache(cache, cache_theta, cache_lambda)
    directory = Path(run).expanduser()
    config = read_config(directory)
    check_targets(config, ("data", "trainer"), directory / run_directory.CONFIG)
    config = changed(config, changes)
    OmegaConf.update(config, "trainer", of_one_process(config.trainer), merge=False)
    check_device(config.trainer)
    loaded = load_run(directory, checkpoint, plugins)
    if picture is not None:
        check_picture(Path(picture).expanduser(), loaded.task, directory)
    if tried is not None:
        check_language_model(loaded.task, tried, directory)
    data = build_data(config, directory)
    check_data(data, loaded.spec, directory)
    config.trainer.enable_progress_bar = progress
    callbacks = [Progress()] if progress else []
    trainer = instantiate(config.trainer)(callbacks=callbacks, logger=False, enable_checkpointing=False, default_root_dir=str(directory))
    test_batches = batches(data, config.overfit, Share(trainer.global_rank, trainer.world_size))[1]
    chosen = {} if tried is None else choose(tried, loaded.task, trainer, test_batches)
    trainer.test(loaded.task, verbose=False, **test_batches)
    if picture is not None and loaded.task.confused is not None:
        draw_confusion(Path(picture).expanduser(), loaded.task.confused.tolist(), loaded.task.labels)
    return {**chosen, **{name: float(value) for name, value in trainer.callback_metrics.items()}}


def check_data(data: SequenceDataModule, spec: DataSpec, run: Path) -> None:
    """Raise ValueError unless the data has the sizes, names and symbols of the run's, in their order: an id would stand for something else than in training."""
    remedy = f"which run {run} was trained on. Restore the data, or leave out the change that makes it another."
    for name in (field.name for field in fields(spec)):
        now, before = getattr(data.spec, name), getattr(spec, name)
        if now != before:
            raise ValueError(f"the data has {name}={str(now)[:200]}; expected {str(before)[:200]}, {remedy}")
    kept = run / VOCABULARY
    if data.vocabulary is None or not kept.is_file():
        return
    now, before = data.vocabulary.symbols, read_record(kept, Vocabulary.from_json).symbols
    if now != before:
        place = next(place for place, pair in enumerate(zip_longest(now, before)) if pair[0] != pair[1])
        here, there = (repr(part[place]) if place < len(part) else "absent" for part in (now, before))
        raise ValueError(f"symbol {place} of the data's vocabulary is {here}; expected {there}, as in {kept.name}, {remedy}")


def check_picture(picture: Path, task: Task, run: Path) -> None:
    """Raise ValueError, before anything is computed, unless the task counts which class was taken for which and the picture can be written."""
    if task.confusion is None:
        raise ValueError(f"picture is {picture}, but run {run} has no confusion matrix: it is no classifier, or has too many classes. Leave picture out.")
    if not os.access(picture.parent, os.W_OK) or picture.is_dir():
        raise ValueError(f"the picture {picture} cannot be written; expected a file in a folder that is there and not read-only. Give another picture=FILE.")


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
