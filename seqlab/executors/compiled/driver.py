"""Build the C++ driver once per machine, and call it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("driver.cpp")
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fopenmp")


def cache_folder() -> Path:
    """Where built code lies: $SEQLAB_CACHE_DIR, else seqlab/ in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("SEQLAB_CACHE_DIR")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqlab"


@cache
def compiler() -> str | None:
    """The C++ compiler that Inductor would use, or None when the machine has none."""
    from torch._inductor import exc
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        return None


class Chunk(ctypes.Structure):
    """The rows of a batch that one thread carries through time; the fields are those of driver.cpp."""

    _fields_ = (
        ("program", ctypes.c_void_p),
        ("base", ctypes.c_void_p),
        ("stride", ctypes.c_void_p),
        ("swing", ctypes.c_void_p),
        ("length", ctypes.c_int64),
        ("buffers", ctypes.c_int64),
    )


class _Blas(ctypes.Structure):
    _fields_ = (("sgemm", ctypes.c_void_p), ("dgemm", ctypes.c_void_p), ("set_threads", ctypes.c_void_p))


@dataclass(frozen=True)
class Driver:
    """The loaded driver with the matrix product of torch's own BLAS; `has_blas` is False where torch exports none."""

    library: ctypes.CDLL
    blas: _Blas
    has_blas: bool

    def replay(self, chunks: list[Chunk], steps: int, reverse: bool) -> None:
        """Run each chunk's program for every step, backwards in time when `reverse`. The memory is the caller's."""
        array = (Chunk * len(chunks))(*chunks)
        self.library.replay(array, ctypes.c_int64(len(chunks)), ctypes.c_int64(steps), ctypes.c_int64(reverse), ctypes.byref(self.blas))


@cache
def driver() -> Driver:
    """The driver of this process, built on first use. Raises RuntimeError with the compiler's words when it fails."""
    library = ctypes.CDLL(str(_build()))
    torch_library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    found = [_address(torch_library, name) for name in ("sgemm_", "dgemm_", "MKL_Set_Num_Threads_Local")]
    return Driver(library, _Blas(*found), bool(found[0] and found[1]))


def _address(library: ctypes.CDLL, name: str) -> int | None:
    function = getattr(library, name, None)
    return None if function is None else ctypes.cast(function, ctypes.c_void_p).value


def _build() -> Path:
    command = compiler()
    if command is None:
        raise RuntimeError("no C++ compiler was found; expected g++ or clang++. Install one or name it in the environment variable CXX.")
    text = SOURCE.read_bytes()
    digest = hashlib.sha256(b"\0".join([text, command.encode(), " ".join(FLAGS).encode(), torch.__version__.encode()])).hexdigest()[:16]
    target = cache_folder() / f"driver-{digest}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / "driver.so"
        done = subprocess.run([command, *FLAGS, str(SOURCE), "-o", str(built)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command} cannot build the driver:\n{done.stderr}")
        built.replace(target)  # atomic: processes that build at the same time never see half a file
    return target
