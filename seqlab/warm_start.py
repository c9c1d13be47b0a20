"""Weights of another run as the start of this one: `init_from=RUN`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab import run_directory
from seqlab.checkpoint import read_checkpoint
from seqlab.data.labelled_text import read_record
from seqlab.data.pair_sides import PIECES
from seqlab.data.side import Side
from seqlab.data.spelling import CHARACTERS
from seqlab.data.vocabulary import VOCABULARY, Vocabulary
from seqlab.heads import AdaptiveHead
from seqlab.runs import MODEL_GROUPS, check_targets, read_config, read_spec, tested
from seqlab.seq2seq import Decoder
from seqlab.tasks import Task

log = logging.getLogger("seqlab")
NO_CLASSES = ("head.layers.", "head.attention.", "head.combine.", "head.bridge.")  # parts of heads whose rows are units, be there as many as classes
# the parameters with a row for each symbol of a vocabulary, and its file in the run directory
TABLES = {"frontend.embedding.weight": VOCABULARY, "frontend.tokens.embedding.weight": VOCABULARY, "frontend.characters.weight": CHARACTERS}


def warm_start(task: Task, run: Path, directory: Path) -> None:
    """Put into the model each parameter of the checkpoint the run tested that has the same name and shape, and say what was left.

    Rows of the embedding go by their symbols, and so do rows of the head by their labels or symbols: what only the new run
    knows keeps its start. `directory`: of the new run, with its own spec and vocabulary. Nothing of the other run is executed.
    Raises ValueError when `run` holds none, names foreign code as `load_run` says, or when nothing fits.
    """
    config = read_config(run)
    check_targets(config, MODEL_GROUPS, run / run_directory.CONFIG)
    found = read_checkpoint(run / run_directory.CHECKPOINTS / f"{tested(run, config)}.ckpt")["state_dict"]
    weights = {name.removeprefix("model."): weight for name, weight in found.items() if name.startswith("model.")}
    classes, head = (read_classes(run), read_classes(directory)), task.model.head
    num_classes = head.vocabulary_size if isinstance(head, Decoder) else head.output_size
    taken, partly, left = [], {}, {}
    for name, parameter in task.model.named_parameters():  # a weight that two parts share is named once
        if name not in weights:
            left[name] = "the run has none of this name"
            continue
        old, rows = weights[name], None
        if name in TABLES:
            rows = matches(read_symbols(run, TABLES[name]), read_symbols(directory, TABLES[name]), old, parameter)
        elif isinstance(head, AdaptiveHead) and name.startswith("head.") and classes[0] != classes[1]:
            left[name] = "its rows are of the most frequent symbols of the other run"
            continue
        elif name.startswith("head.") and not name.startswith(NO_CLASSES) and parameter.dim() and len(parameter) == num_classes:
            rows = matches(*classes, old, parameter)
        if rows is None and old.shape != parameter.shape:
            left[name] = f"its shape is {tuple(old.shape)} there and {tuple(parameter.shape)} here"
            continue
        with torch.no_grad():
            if rows is None:
                parameter.copy_(old)
                taken.append(name)
            elif rows:
                here, there = (torch.tensor(side) for side in zip(*rows, strict=True))
                if name.startswith("head.crf.") and parameter.dim() == 2:  # from each label to each
                    parameter[here[:, None], here] = old[there[:, None], there].to(parameter)
                else:
                    parameter[here] = old[there].to(parameter)
                partly[name] = f"{len(rows)} of {len(parameter)} rows"
            else:
                left[name] = "no row has a name that both runs know"
    if not taken and not partly:
        raise ValueError(f"nothing in {run} fits this model by name and shape. Choose the same cell and sizes as that run, or leave init_from out.")
    lines = [f"{name} ({why})" for name, why in {**partly, **left}.items()]
    log.info(f"init_from: {len(taken)} parameters taken over whole from {run}; " + (f"the others: {'; '.join(lines)}." if lines else "there are no others."))
    task.origin = {"run": str(run), "taken": taken, "partly": partly, "left": left}


def read_symbols(run: Path, file: str = VOCABULARY) -> list[str] | None:
    """The symbols of a vocabulary of the run in their order, those of the source where it reads one text and writes another; None where it has none."""
    path = run / file
    if file == VOCABULARY and not path.is_file() and (run / PIECES).is_file():
        return list(Side.from_plain(read_record(run / PIECES, json.loads)["source"]).symbols)
    return list(Vocabulary.from_json(path.read_text(encoding="utf-8")).symbols) if path.is_file() else None


def read_classes(run: Path) -> list[str] | None:
    """What the run's model answers with, in order: labels, of a language model symbols; None where classes have no names."""
    spec = read_spec(run)
    symbols = read_symbols(run)
    if spec.labels:
        return list(spec.labels)
    return symbols if symbols is not None and len(symbols) == spec.output_size and spec.targets == "steps" else None


def matches(there: list[str] | None, here: list[str] | None, old: Tensor, new: Tensor) -> list[tuple[int, int]] | None:
    """(row here, row there) of each name in both; None where names tell nothing: the same in both runs, or known in neither."""
    if there == here or old.shape[1:] != new.shape[1:]:
        return None
    if there is None or here is None or len(there) != len(old) or len(here) != len(new):
        return []
    place: dict[str, Any] = {name: index for index, name in enumerate(there)}
    return [(index, place[name]) for index, name in enumerate(here) if name in place]
