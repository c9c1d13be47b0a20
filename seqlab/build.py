"""From a resolved config to data, model and task. Sizes flow from the data's DataSpec; none stands in a config twice."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from seqlab.data.audio_folder import AudioFolder
from seqlab.data.base import DataSpec, SequenceDataModule
from seqlab.data.checks import check_splits
from seqlab.data.pair_sides import PairSides
from seqlab.frontends import Frontend
from seqlab.heads import CRFHead, TiedHead
from seqlab.model import SequenceModel
from seqlab.registry import load_plugin_file, unknown
from seqlab.seq2seq import Decoder
from seqlab.tasks import Task


def build_data(config: Any, run: Path | None = None) -> SequenceDataModule:
    """The datamodule of the config, prepared and set up, so that its spec is known.

    run: a run directory from which texts and their translations take how they are cut, and recordings their labels, in place of learning them anew.
    """
    data = instantiate(config.data)
    if not isinstance(data, SequenceDataModule):
        raise TypeError(f"data is a {type(data).__name__}; expected a seqlab SequenceDataModule. Choose one with data=NAME.")
    if run is not None and isinstance(data, PairSides | AudioFolder):
        data.restore(run)
    data.prepare_data()
    data.setup("fit")
    check_splits(data)
    return data


def build_model(config: Any, spec: DataSpec) -> SequenceModel:
    """frontend -> encoder -> head, each built with the width of what lies below it."""
    for file in config.plugins:
        load_plugin_file(file)
    make_frontend = instantiate(config.frontend)
    if make_frontend.func.reads != spec.inputs:
        fitting = "log_mel" if spec.inputs == "audio" else spec.inputs
        raise ValueError(f"the front end reads {make_frontend.func.reads} but the data gives {spec.inputs}. Choose frontend={fitting}.")
    check_options("frontend", make_frontend)
    more = {"words": "num_characters", "audio": "sampling_rate"}.get(spec.inputs)
    sizes = {} if more is None else {more: getattr(spec, more)}
    frontend = make_frontend(input_size=spec.input_size, **sizes)
    encoder = instantiate(config.encoder)(input_size=frontend.output_size)
    sizes = {"horizon": spec.horizon} if spec.targets == "horizon" else {}
    make_head = instantiate(config.head)
    check_options("head", make_head)
    if make_head.func is Decoder:
        return SequenceModel(frontend, encoder, make_head(vocabulary_size=spec.output_size, encoder=encoder))
    return SequenceModel(
        frontend, encoder, make_head(input_size=encoder.output_size, output_size=spec.output_size, **sizes, **parts_of_head(make_head.func, frontend, spec))
    )


def check_options(group: str, make: Any) -> None:
    """Raise ValueError for an option in the config of a group that what it builds does not take: an experiment may have set it for another choice."""
    parameters = inspect.signature(make.func).parameters
    known = list(parameters)
    for name in make.keywords:
        if name not in known and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            raise ValueError(unknown(f"option of {make.func.__name__}", name, known, f"Leave it out with ~{group}.{name}."))


def parts_of_head(kind: Any, frontend: Frontend, spec: DataSpec) -> dict[str, Any]:
    """What heads need besides sizes: the CRF the names of the labels, the tied head the embedding."""
    if kind is CRFHead:
        return {"labels": spec.labels}
    if kind is not TiedHead:
        return {}
    embedding = getattr(frontend, "embedding", None)
    if embedding is None:
        raise ValueError(f"head=tied needs the embedding of the front end, and {type(frontend).__name__} has none. Choose frontend=tokens.")
    return {"embedding": embedding}


def build_task(config: Any, spec: DataSpec) -> Task:
    """The task of the config around its model."""
    rate = {"optimizer": instantiate(config.optimizer), "schedule": instantiate(config.schedule)}
    task = instantiate(config.task)(model=build_model(config, spec), **rate, labels=spec.labels)
    # Lightning turns a model to float64 only after it has put a checkpoint's weights into it, rounded to float32
    return task.double() if str(config.trainer.precision) in ("64", "64-true") else task
