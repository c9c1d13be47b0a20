"""Files in the IDX format, in which MNIST comes: a header of big-endian numbers, then the values."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, sha256: str | None = None) -> Tensor:
    """The uint8 tensor in a gzipped IDX file.

    sha256: of the unpacked bytes, which stays the same when a file is packed anew. ValueError for a file that is cut short,
    altered or of another kind.
    Source of the format: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".
    """
    try:
        with gzip.open(path) as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}. It is cut short or damaged; delete it and get it again.") from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise ValueError(f"{path} holds other data than expected: sha256 {found[:12]}… unpacked; expected {sha256[:12]}…. Delete it and get it again.")
    if len(data) < 4 or data[:2] != b"\x00\x00" or data[2] != UNSIGNED_BYTE or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path} is no IDX file of bytes: it begins with {data[:4].hex()}; expected 000008 and the number of axes.")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    start = 4 + 4 * data[3]
    if len(data) - start != int(np.prod(shape)):
        raise ValueError(f"{path} holds {len(data) - start} values; expected {int(np.prod(shape))}, for the shape {shape} in its header.")
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy())
