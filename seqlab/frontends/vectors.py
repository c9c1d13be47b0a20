"""Vectors of words from a file, as GloVe and fastText publish them: a word and its numbers per line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


def read_vectors(path: Path, rows: Mapping[str, int], width: int) -> tuple[list[int], Tensor]:
    """The vectors of the symbols in `rows` {symbol: row} -> the rows that were found (N), and their vectors (N, width).

    A symbol that the file has not takes the vector of its lower case. The first of two lines for a word counts. `.gz` is
    read directly; a first line of two whole numbers is the header that fastText writes. Words may hold spaces.
    Raises ValueError, naming file and line, for another width, what is no number, and text that is not UTF-8; and when
    the file is missing.
    """
    if not path.is_file():
        raise ValueError(f"the vectors {path} do not exist; expected a text file with a word and {width} numbers per line. Give frontend.vectors=FILE.")
    lower = {symbol.lower() for symbol in rows}
    found: dict[str, Tensor] = {}
    number, header = 0, False
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                fields = line.decode("utf-8").rstrip().split(" ")
                numbers = len(fields) - 1
                if number == 1 and numbers == 1 and fields[0].isdigit() and fields[1].isdigit():
                    header, numbers = True, int(fields[1])
                if numbers < width or (numbers > width and (number == 1 or all(map(is_number, fields[1:-width])))):
                    raise ValueError(f"{numbers} numbers")
                if number == 1 and header:
                    continue
                word = " ".join(fields[:-width])
                if word not in found and (word in rows or word in lower):
                    found[word] = torch.tensor([float(field) for field in fields[-width:]])
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line {number}: not UTF-8 ({error.reason}); expected text. Convert the file, or give the text format, not the binary one."
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged after line {number} ({error}). Download it again.") from None
    except ValueError as error:
        raise ValueError(
            f"{path}, line {number}: {error}; expected a word and {width} numbers, the embedding_size. Repair the line, or set the width."
        ) from None
    if not number:
        raise ValueError(f"the vectors {path} are an empty file; expected a word and {width} numbers per line.")
    chosen = {row: found[symbol if symbol in found else symbol.lower()] for symbol, row in rows.items() if symbol in found or symbol.lower() in found}
    return list(chosen), torch.stack(list(chosen.values())) if chosen else torch.empty(0, width)


def is_number(field: str) -> bool:
    """Whether the field can be read as a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True
