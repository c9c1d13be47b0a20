"""Where a decoder looked while it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlab.pictures.fonts import plain_text
from seqlab.pictures.saving import save_picture


def draw_attention(path: Path, rows: Sequence[tuple[Sequence[str], Sequence[str], Sequence[Sequence[float]]]]) -> None:
    """A panel for each (source symbols, written symbols, weights [written][source]): the darker, the more weight."""
    import matplotlib  # not at import time: it costs a second
    from matplotlib.figure import Figure

    with matplotlib.rc_context(plain_text([symbol for source, written, _ in rows for symbol in (*source, *written)])):
        figure = Figure(figsize=(5.5 * len(rows), 5.5), layout="constrained")
        for axes, (source, written, weights) in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
            axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
            turned = 90 if max(map(len, source)) > 2 else 0
            axes.set_xticks(range(len(source)), source, rotation=turned, fontsize=8)
            axes.set_yticks(range(len(written)), written, fontsize=8)
            axes.set_xlabel("source")
            axes.set_ylabel("written")
        save_picture(figure, path)
