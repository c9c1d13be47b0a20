"""confusion_matrix.png: which class was taken for which in the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlab.pictures.fonts import plain_text
from seqlab.pictures.saving import save_picture

MOST_NUMBERS = 25  # classes whose counts are written into the cells: more cannot be read


def draw_confusion(path: Path, counts: Sequence[Sequence[int]], labels: Sequence[str] = ()) -> None:
    """counts[true class][answer]; labels: names in that order, by default numbers. The colour is the share of the true class."""
    import matplotlib  # not at import time: it costs a second
    from matplotlib.figure import Figure

    size = len(counts)
    names = list(labels) or [str(index) for index in range(size)]
    inches = min(max(4.0, 0.42 * size + 1.5), 24.0)
    # fonts are chosen when text is made and looked up when it is drawn: both inside
    with matplotlib.rc_context(plain_text(names)):
        figure = Figure(figsize=(inches + 1, inches), layout="constrained")
        axes = figure.subplots()
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(size), names, rotation=90 if size > 6 or max(map(len, names)) > 6 else 0)
        axes.set_yticks(range(size), names)
        axes.set(xlabel="answer of the model", ylabel="true class", title="test, counts" if size <= MOST_NUMBERS else "test")
        if size <= MOST_NUMBERS:
            for i, row in enumerate(counts):
                for j, count in enumerate(row):
                    if count:
                        axes.text(j, i, f"{count}", ha="center", va="center", fontsize=8, color="white" if shares[i][j] > 0.6 else "black")
        figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
        save_picture(figure, path)
