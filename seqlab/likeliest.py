"""The likeliest text of a trained language model, by beam search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seqlab.generate import check_prompt, load_language_model
from seqlab.search import Beam


def likeliest(
    run: str | Path, prompt: str = "", length: int = 400, beam: int = 4, num: int = 1, checkpoint: str | None = None, plugins: Sequence[str] = ()
) -> Iterator[str]:
    """The `num` likeliest texts of at most `length` symbols after the prompt that a beam of this size finds, the best first, each
    with the prompt; an empty line stands between them.

    A beam of 1 takes the likeliest symbol every time. Raises ValueError as `generate` does, and for a beam that holds more
    hypotheses than there are symbols.
    """
    for name, value, least in (("length", length, 0), ("num", num, 1), ("beam", beam, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}; expected at least {least}.")
    if num > beam:
        raise ValueError(f"num is {num} and beam {beam}; expected no more texts than the beam holds. Give a larger beam.")
    task, vocabulary = load_language_model(Path(run).expanduser(), checkpoint, plugins)
    if beam > len(vocabulary):
        raise ValueError(f"beam is {beam} but the vocabulary has {len(vocabulary)} symbols; expected at most as many hypotheses. Give a smaller beam.")
    check_prompt(prompt, vocabulary)
    opening = vocabulary.opening(prompt)
    before = int(opening[-1]) if prompt else None
    found = task.likeliest(opening, Beam(beam, num_best=num, never=vocabulary.never_written), length, vocabulary.end) if length else []
    for number, ids in enumerate([one.ids for one in found] or [()]):
        lefts = [before, *ids]
        yield "\n\n" * (number > 0) + prompt + "".join(vocabulary.piece(left, index) for left, index in zip(lefts, ids, strict=False))
    yield "\n"
