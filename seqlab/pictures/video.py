"""Videos as rows of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlab.pictures.saving import save_picture

Frame = Sequence[Sequence[float]]  # rows of pixels, 0..1


def draw_videos(path: Path, videos: Sequence[tuple[str, bool, Sequence[Frame]]]) -> None:
    """A row of frames for each (name, whether it is right, frames); the name stands beside it, in red where it is wrong."""
    from matplotlib.figure import Figure  # not at import time: it costs a second

    columns = max(len(frames) for _, _, frames in videos)
    figure = Figure(figsize=(columns + 2.2, 1.05 * len(videos)), layout="constrained")
    for line, (name, right, frames) in zip(figure.subplots(len(videos), columns, squeeze=False), videos, strict=True):
        for axes, frame in zip(line, frames, strict=False):
            axes.imshow(frame, cmap="gray_r", vmin=0, vmax=1)
        for axes in line:
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, color="black" if right else "tab:red")
    save_picture(figure, path)
