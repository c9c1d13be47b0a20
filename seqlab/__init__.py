"""seqlab: write one step of a recurrence in plain PyTorch, and get a lab around it.

The names below need torch alone, `stream` excepted, which reads a run; they are imported when first asked for, so that
`seqlab --help` needs not even that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqlab.cells.base import Cell, make_cell
    from seqlab.layers import Bidirectional, Layer, Stack
    from seqlab.registry import register_cell
    from seqlab.streaming import stream

__version__ = "0.1.0"
__all__ = ["Bidirectional", "Cell", "Layer", "Stack", "make_cell", "register_cell", "stream"]

_WHERE = {
    "Cell": "seqlab.cells.base",
    "make_cell": "seqlab.cells.base",
    "Layer": "seqlab.layers",
    "Bidirectional": "seqlab.layers",
    "Stack": "seqlab.layers",
    "register_cell": "seqlab.registry",
    "stream": "seqlab.streaming",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'seqlab' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
