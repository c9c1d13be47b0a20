"""What a model with CTC emits over time, and where its labels stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from seqlab.pictures.fonts import plain_text
from seqlab.pictures.saving import save_picture


@dataclass(frozen=True)
class Alignment:
    """One row: probabilities [step][class], the class of each step of the best path, that of the target's likeliest path where
    there is a target, and the input: samples, or features [step][feature]; class 0 is the blank."""

    probabilities: Sequence[Sequence[float]]
    path: Sequence[int]
    target: Sequence[int] | None
    inputs: Sequence[float] | Sequence[Sequence[float]]


def draw_alignments(path: Path, rows: Sequence[Alignment], labels: Sequence[str]) -> None:
    """For each row the input, below it the probability of each class that is ever likely, dark, with the best path as dots, and
    beneath the target's labels where they stand in their likeliest path."""
    import matplotlib  # not at import time: it costs a second
    from matplotlib.figure import Figure

    with matplotlib.rc_context(plain_text(labels)):
        figure = Figure(figsize=(9, 4.2 * len(rows)), layout="constrained")
        panels = figure.subplots(2 * len(rows), 1, squeeze=False, height_ratios=[1, 2.2] * len(rows))[:, 0]
        for above, below, row in zip(panels[::2], panels[1::2], rows, strict=True):
            if isinstance(row.inputs[0], float):
                above.plot(row.inputs, color="0.35", linewidth=0.4)
                above.set_xlim(0, len(row.inputs))
            else:
                above.imshow(list(zip(*row.inputs, strict=True)), cmap="Greys", aspect="auto")  # pyright: ignore[reportArgumentType]
            above.set_xticks([])
            above.set_yticks([])
            above.set_ylabel("input")
            shown = [c for c in range(len(labels)) if c == 0 or max(step[c] for step in row.probabilities) > 0.05 or c in (row.target or ())]
            below.imshow([[step[c] for step in row.probabilities] for c in shown], cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            steps = [(step, shown.index(c)) for step, c in enumerate(row.path) if c]
            below.plot([step for step, _ in steps], [place for _, place in steps], "o", color="tab:orange", markersize=4, label="best path")
            below.set_yticks(range(len(shown)), [labels[c] for c in shown])
            below.set_ylabel("emitted")
            written = " ".join(labels[label] for label, _ in groupby(row.path) if label)
            below.set_title(f"written: {written or 'nothing'}", fontsize=9, loc="left")
            if row.target is None:
                below.set_xlabel("step")
            else:
                places = centres(row.target)
                below.set_xticks([place for place, _ in places], [labels[label] for _, label in places])
                below.set_xlabel("target, where its likeliest path has it")
        save_picture(figure, path)


def centres(path: Sequence[int]) -> list[tuple[float, int]]:
    """(middle, label) of each stretch of a label in a path."""
    found, start = [], 0
    for label, steps in groupby(path):
        count = len(list(steps))
        if label:
            found.append((start + (count - 1) / 2, label))
        start += count
    return found
