"""Build the C++ driver once per machine, and call it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from seqlab.executors.toolchain import compiler

SOURCES = tuple(Path(__file__).with_name(name) for name in ("driver.cpp", "gemm.h"))
FLAGS = ("-O3", "-std=c++17", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-fopenmp")


def cache_folder() -> Path:
    """Where built code lies: $SEQLAB_CACHE_DIR, else seqlab/ in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("SEQLAB_CACHE_DIR")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqlab"


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


@dataclass(frozen=True)
class Driver:
    """The loaded driver. All memory is the caller's; addresses and sizes are as driver.cpp says."""

    library: ctypes.CDLL

    def replay(self, chunks: list[Chunk], steps: int, reverse: bool) -> None:
        """Run each chunk's program for every step, backwards in time when `reverse`."""
        array = (Chunk * len(chunks))(*chunks)
        self.library.replay(array, *_words(len(chunks), steps, reverse))

    def pack(self, weight: Tensor) -> Tensor:
        """A matrix (K, N) of any strides in the order in which products read it."""
        wide = weight.dtype == torch.float64
        k, n = weight.shape
        size = self.library.packed_bytes(*_words(wide, k, n))
        out = torch.empty(size + 64, dtype=torch.uint8)
        out = out[-out.data_ptr() % 64 :]
        self.library.pack_weight(*_words(wide, weight.data_ptr(), *weight.stride(), k, n, out.data_ptr()))
        return out

    def product(self, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        """a (M, K) b (K, N) + bias (N,) of float32 or float64, any strides, on all threads."""
        out = a.new_empty(a.shape[0], b.shape[1])
        if bias is not None:
            out[:] = bias
        words = (a.shape[0], b.shape[1], a.shape[1], a.data_ptr(), *a.stride(), b.data_ptr(), *b.stride(), out.data_ptr(), out.stride(0), bias is not None)
        array = (ctypes.c_int64 * len(words))(*words)
        self.library.large_product(ctypes.c_int64(a.dtype == torch.float64), array, ctypes.c_int64(torch.get_num_threads()))
        return out


def _words(*values: int) -> list[ctypes.c_int64]:
    return [ctypes.c_int64(value) for value in values]


@cache
def driver() -> Driver:
    """The driver of this process, built on first use. Raises RuntimeError with the compiler's words when it fails."""
    library = ctypes.CDLL(str(_build()))
    library.packed_bytes.restype = ctypes.c_int64
    return Driver(library)


def _instructions() -> bytes:
    """What this processor can do: code built for one machine must not be run on another that shares the folder."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor().encode()
    return b"".join(sorted({line for line in information.read_bytes().splitlines() if line.startswith((b"flags", b"Features", b"model name"))}))


def _build() -> Path:
    command = compiler()
    if command is None:
        raise RuntimeError("no C++ compiler was found; expected g++ or clang++. Install one or name it in the environment variable CXX.")
    parts = [*(source.read_bytes() for source in SOURCES), " ".join([command, *FLAGS, platform.machine()]).encode(), _instructions()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    target = cache_folder() / f"driver-{digest}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / "driver.so"
        done = subprocess.run([command, *FLAGS, str(SOURCES[0]), "-o", str(built)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command} cannot build the driver:\n{done.stderr}")
        built.replace(target)  # atomic: processes that build at the same time never see half a file
    return target
