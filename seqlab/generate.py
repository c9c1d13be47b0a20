"""Text from a trained language model, piece by piece as it is drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from seqlab.data.vocabulary import VOCABULARY, Vocabulary
from seqlab.fingerprint import check_records
from seqlab.runs import load_run
from seqlab.search import Sampling
from seqlab.tasks import LanguageModelling


def generate(
    run: str | Path,
    prompt: str = "",
    length: int = 400,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    num: int = 1,
    checkpoint: str | None = None,
    plugins: Sequence[str] = (),
) -> Iterator[str]:
    """Pieces of `num` texts of at most `length` drawn symbols, the prompt first; an empty line stands between texts.

    Text i is drawn with the seed `seed` + i. Raises ValueError for values out of range, a run that is no language model,
    and a prompt with symbols that the model cannot read.
    """
    for name, value, least in (("length", length, 0), ("num", num, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}; expected at least {least}.")
    sampling = Sampling(temperature, top_k, top_p)
    task, vocabulary = load_language_model(Path(run).expanduser(), checkpoint, plugins)
    sampling = sampling.without(vocabulary.never_written)
    check_prompt(prompt, vocabulary)
    opening = vocabulary.opening(prompt)
    for number in range(num):
        yield "\n\n" * (number > 0) + prompt
        before = int(opening[-1]) if prompt else None
        for index in task.sample(opening, sampling, torch.Generator().manual_seed(seed + number), length, vocabulary.end):
            yield vocabulary.piece(before, index)
            before = index
    yield "\n"


def load_language_model(directory: Path, checkpoint: str | None = None, plugins: Sequence[str] = ()) -> tuple[LanguageModelling, Vocabulary]:
    """The task and the vocabulary of a run. Raises ValueError when the run is of another kind, and as `load_run` and `check_records` say."""
    task = load_run(directory, checkpoint, plugins).task
    if not isinstance(task, LanguageModelling):
        raise ValueError(f"run {directory} trained a {type(task).__name__}; expected a language model. Train one with `seqlab train experiment=char_lm`.")
    path = directory / VOCABULARY
    if not path.is_file():
        raise ValueError(f"run directory {directory} has no {VOCABULARY}; expected the symbols of the model, which its data should have named.")
    check_records(directory)
    return task, Vocabulary.from_json(path.read_text(encoding="utf-8"))


def check_prompt(prompt: str, vocabulary: Vocabulary, place: str = "seqlab generate") -> None:
    """Say on stderr, with the place it stands in, which symbols of the prompt are read as unknown. Raises ValueError when the vocabulary has no unknown."""
    missing = vocabulary.missing(prompt)
    if missing and vocabulary.unknown is None:
        raise ValueError(f"the prompt holds {', '.join(map(repr, missing))}, not in the training text; expected symbols that are. Leave them out.")
    if missing:
        print(f"{place}: the model reads {', '.join(map(repr, missing))} of the prompt as an unknown symbol.", file=sys.stderr)
