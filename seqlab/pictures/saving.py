"""How every picture gets its name: when it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seqlab import run_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = "png"  # of a name without an ending


def save_picture(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Draw the figure into a file beside `path` and give it that name at the end; a picture that was there stays until then.

    The format is that of the path's ending.
    """
    kind = path.suffix.removeprefix(".") or FORMAT
    run_directory.replace(path, lambda partial: figure.savefig(partial, dpi=dpi, format=kind))
