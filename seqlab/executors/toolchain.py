"""The compilers of this machine, looked for as Inductor does, but without importing it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from functools import cache


@cache
def compiler() -> str | None:
    """The path of $CXX, else of g++ (clang++ on macOS); None when the machine has neither."""
    return shutil.which(os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++"))


@cache
def has_triton() -> bool:
    """Whether Triton is installed, in which Inductor writes kernels for a GPU."""
    return importlib.util.find_spec("triton") is not None
