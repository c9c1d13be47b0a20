"""Where in a picture a decoder looked for each word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlab.pictures.saving import save_picture

Grid = Sequence[Sequence[float]]


def draw_captions(path: Path, rows: Sequence[tuple[Grid, Sequence[str], Sequence[Grid]]]) -> None:
    """A row for each (picture, words, weights of each word over a grid that covers the picture): the redder, the more weight."""
    from matplotlib.figure import Figure  # not at import time: it costs a second

    columns = 1 + max(len(words) for _, words, _ in rows)
    figure = Figure(figsize=(1.15 * columns, 1.4 * len(rows)), layout="constrained")
    for line, (picture, words, weights) in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        extent = (0.0, float(len(picture[0])), float(len(picture)), 0.0)
        for axes, word, grid in zip(line, ["", *words], [None, *weights], strict=False):
            axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, extent=extent)
            if grid is not None:
                axes.imshow(grid, cmap="Reds", vmin=0, vmax=max(map(max, grid)), alpha=0.55, extent=extent, interpolation="bilinear")
            axes.set_title(word, fontsize=9)
            axes.set(xticks=[], yticks=[])
        for axes in line[1 + len(words) :]:
            axes.axis("off")
    save_picture(figure, path)
