"""Text as it lies on disk: a plain file is one document, a column of a table is one document per row."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path


def python_documentation() -> list[str]:
    """The documentation topics that ship inside CPython, one document each: real text that needs no network.

    Source: The Python Language Reference, as the module pydoc_data.topics of the interpreter that runs. They differ from
    one version of Python to the next.
    """
    from pydoc_data.topics import topics  # half a megabyte of text, read only where it is used

    return [topics[name] for name in sorted(topics)]


def read_documents(path: str | Path, column: str | None = None, encoding: str = "utf-8") -> list[str]:
    """The documents of a file: its whole text, or with `column` that column of a CSV (or, by its suffix, TSV) table.

    Line ends become "\\n" and a byte order mark is dropped. Rows whose column is blank are left out.
    Raises ValueError when the file is missing, empty, in another encoding, or lacks the column.
    """
    text = read_text(Path(path).expanduser(), encoding)
    if column is None:
        return [text]
    documents = [document for document in read_column(text, column, Path(path)) if document.strip()]
    if not documents:
        raise ValueError(f"column {column!r} of {path} is blank in every row; expected text. Choose another with data.column=NAME.")
    return documents


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The whole text of a file. Raises ValueError as `read_documents` says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"text file {path} cannot be read: {error.strerror}. Give an existing file with data.path=FILE.") from error
    try:
        text = data.decode(encoding)
    except LookupError as error:
        raise ValueError(f"encoding {encoding!r} is not known to Python. Give another with data.encoding=NAME, such as utf-8 or latin-1.") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, errors="ignore").count("\n") + 1
        raise ValueError(
            f"text file {path} is not {encoding}: byte 0x{data[error.start]:02x} at offset {error.start}, in line {line}. "
            "Convert the file, or name its encoding with data.encoding=NAME, such as latin-1."
        ) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"text file {path} holds no text ({len(data)} bytes). Give another with data.path=FILE.")
    return text


def read_column(text: str, column: str, path: Path) -> list[str]:
    """One field of every row of a table with a header; fields in quotes may hold several lines.

    Raises ValueError when the table has no such column, a row is too short, or quotes do not match, naming the line.
    """
    csv.field_size_limit(sys.maxsize)  # a document may be longer than the 128 KiB that csv takes by default
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
    documents = []
    try:
        header = next(rows)
        if column not in header:
            raise ValueError(f"{path} has no column {column!r}; it has {', '.join(map(repr, header))}. Choose one with data.column=NAME.")
        index = header.index(column)
        for row in rows:
            if not row:
                continue
            if len(row) <= index:
                raise ValueError(f"{path}, line {rows.line_num}: the row has {len(row)} fields; expected {len(header)}, as the header has. Repair the row.")
            documents.append(row[index])
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}. Repair the quotes; a quote inside a field is written twice.") from error
    return documents
