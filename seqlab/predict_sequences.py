"""What `predict` offers for runs that write one sequence for another: the search, and pictures of where the model looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seqlab.callbacks.alignment import alignments, label_names
from seqlab.callbacks.attention import attention_panels
from seqlab.data.base import Example, SequenceDataModule
from seqlab.pictures.alignment import draw_alignments
from seqlab.pictures.attention import draw_attention
from seqlab.tasks import CTC, SequenceToSequence, Task


def set_search(task: Task, directory: Path, beam: int | None, num_best: int, attention: int) -> None:
    """Let the task search with `beam` hypotheses, None for those of training, and return `num_best`.

    Raises ValueError for what the search of this run cannot do, and for a run that writes no sequence.
    """
    if num_best < 1 or attention < 0:
        raise ValueError(f"num_best is {num_best} and attention {attention}; expected at least 1 and 0.")
    if isinstance(task, CTC):
        if beam is not None or num_best > 1:
            task.use_search("beam", max(task.beam_size, num_best) if beam is None else beam, num_best)
        return
    if not isinstance(task, SequenceToSequence):
        if beam is not None or num_best > 1 or attention:
            kind = type(task).__name__
            raise ValueError(f"beam, num_best or attention is given, but run {directory} trained a {kind}, which writes no sequence. Leave them out.")
        return
    if attention and task.decoder.attention is None:
        raise ValueError(f"attention is {attention}, but run {directory} was trained without attention and looks at nothing. Leave attention out.")
    task.use_beam(replace(task.beam, size=max(task.beam.size, num_best) if beam is None else beam, num_best=num_best))


def draw_looks(task: Task, data: SequenceDataModule, rows: Sequence[Example | None], count: int, picture: Path) -> bool:
    """Draw where the model looked, or with CTC what it emitted, in the first `count` rows that are not blank; returns whether anything was written there."""
    first = [row for row in rows if row is not None][:count]
    if isinstance(task, CTC):
        draw_alignments(picture, [found for row in first for found in alignments(task, data.collate([row]), 1, targets=False)], label_names(task))
        return bool(first)
    assert isinstance(task, SequenceToSequence)
    panels = [panel for row in first for panel in attention_panels(task, data.collate([row]), data)]
    if panels:
        draw_attention(picture, panels)
    return bool(panels)
