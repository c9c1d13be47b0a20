"""Text as it lies on disk: whole files, lines, and tables with a column of text. ".gz" is unpacked."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"}  # of tables, by the suffix


def python_documentation() -> list[str]:
    """The documentation topics that ship inside CPython, one document each: real text that needs no network.

    Source: The Python Language Reference, as the module pydoc_data.topics of the interpreter that runs. They differ from
    one version of Python to the next.
    """
    from pydoc_data.topics import topics  # half a megabyte of text, read only where it is used

    return [topics[name] for name in sorted(topics)]


def read_documents(path: str | Path, column: str | None = None, encoding: str = "utf-8") -> list[str]:
    """The documents of a file: its whole text, or with `column` that column of a table, one document per row.

    Line ends become "\\n" and a byte order mark is dropped. Rows whose column is blank are left out.
    Raises ValueError when the file is missing, empty, in another encoding, or lacks the column.
    """
    path = Path(path).expanduser()
    if column is None:
        return [read_text(path, encoding)]
    table = read_text_table(path, encoding)
    table.check_column(column, "data.column")
    documents = [row[column] for row in table.rows if row is not None and row[column].strip()]
    if not documents:
        raise ValueError(f"column {column!r} of {path} is blank in every row; expected text. Choose another with data.column=NAME.")
    return documents


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The whole text of a file. Raises ValueError as `read_documents` says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"text file {path} cannot be read: {error.strerror}. Give the path of an existing file.") from error
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"text file {path} cannot be unpacked: {error}. Pack it again with gzip, or take .gz off its name.") from error
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
        raise ValueError(f"text file {path} holds no text ({len(data)} bytes). Give another file.")
    if "\0" in text:
        raise ValueError(
            f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: a zero byte; expected text. Give a text file, or its data.encoding=NAME."
        )
    return text


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file without their ends; line i of an editor is entry i − 1. Raises ValueError as `read_documents`."""
    return read_text(path, encoding).removesuffix("\n").split("\n")  # not splitlines, which also cuts at signs inside a line


@dataclass
class TextTable:
    """A table of text. columns: in the order of the header, or of a JSONL file's first object. rows: {column: text} for each
    row, None for a blank line, and in `lines` where each begins. objects: the rows of a JSONL file as they were read.
    quotes: see `read_text_table`."""

    path: Path
    kind: str
    columns: list[str]
    rows: list[dict[str, str] | None]
    lines: list[int]
    objects: list[dict[str, Any] | None]
    quotes: bool = True

    def check_column(self, column: str, key: str) -> None:
        """Raise ValueError when there is no such column; `key` of the config names it."""
        if column not in self.columns:
            raise ValueError(f"{self.path} has no column {column!r}; it has {', '.join(map(repr, self.columns))}. Choose one with {key}=NAME.")


def table_kind(path: Path) -> str | None:
    """csv, tsv or jsonl by the suffix of the file, before a .gz; None for another file."""
    return KINDS.get((path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower())


def read_text_table(path: Path, encoding: str = "utf-8", quotes: bool = True) -> TextTable:
    """The table in a file: JSONL or TSV by its suffix, else CSV. The first row of CSV and TSV names the columns.

    quotes: fields between quotation marks may hold separators and line ends; False: the marks are text.
    Raises ValueError, naming the line, for a row of another length than the header, quotes that do not match, a column
    named twice, a line of a JSONL file that is no object, and as `read_text` does.
    """
    text, kind = read_text(path, encoding), table_kind(path) or "csv"
    table = TextTable(path, kind, [], [], [], [], quotes)
    if kind == "jsonl":
        _read_objects(text, table)
    else:
        _read_rows(text, table)
    return table


def _read_rows(text: str, table: TextTable) -> None:
    csv.field_size_limit(sys.maxsize)  # a document may be longer than the 128 KiB that csv takes by default
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(table), quoting=csv.QUOTE_MINIMAL if table.quotes else csv.QUOTE_NONE)
    line = 1
    try:
        for row in rows:
            blank = not any(field.strip() for field in row) and len(row) < 2
            if not table.columns and not blank:
                table.columns = row
                if len(set(row)) < len(row):
                    twice = next(name for name in row if row.count(name) > 1)
                    raise ValueError(f"{table.path}, line {line}: the column {twice!r} stands twice; expected different names. Rename one.")
            elif not blank and len(row) != len(table.columns):
                raise ValueError(f"{table.path}, line {line}: the row has {len(row)} fields; expected {len(table.columns)}, as the header has. Repair the row.")
            elif table.columns:
                table.rows.append(None if blank else dict(zip(table.columns, row, strict=True)))
                table.lines.append(line)
            line = rows.line_num + 1
    except csv.Error as error:
        # not where reading ended: a quote that is never closed takes all lines to the end of the file
        raise ValueError(
            f"{table.path}, line {line}: the row that begins here cannot be read to its end ({error}). Repair the quotes; a quote inside a field is written "
            "twice, and where marks are text data=table_text has data.quotes=false."
        ) from error


def _delimiter(table: TextTable) -> str:
    return "\t" if table.kind == "tsv" else ","


def _read_objects(text: str, table: TextTable) -> None:
    for line, written in enumerate(text.removesuffix("\n").split("\n"), 1):
        table.lines.append(line)
        if not written.strip():
            table.objects.append(None)
            table.rows.append(None)
            continue
        try:
            row = json.loads(written)
        except ValueError as error:
            raise ValueError(f"{table.path}, line {line}: no JSON ({error}); expected one object per line. Repair the line.") from error
        if not isinstance(row, dict):
            raise ValueError(f'{table.path}, line {line}: a JSON {type(row).__name__}; expected an object, such as {{"text": …}}. Repair the line.')
        table.columns = table.columns or list(row)
        table.objects.append(row)
        if lacking := [name for name in table.columns if name not in row]:
            raise ValueError(f"{table.path}, line {line}: the object has no {lacking[0]!r}; expected it, as in the first one. Repair the line.")
        table.rows.append({name: "" if value is None else value if isinstance(value, str) else json.dumps(value) for name, value in row.items()})


def write_text_table(table: TextTable, added: dict[str, list[Any]], output: Path) -> None:
    """The rows as they were read, with more columns; a blank row stays blank.

    Raises ValueError when one of them is there already, for an output that is named as another kind of table, and for an answer that a
    table without quotes cannot hold.
    """
    taken = set(table.columns).union(*(row for row in table.objects if row))  # a later object of JSONL may have more than the first
    for name in added:
        if name in taken:
            raise ValueError(f"{table.path} has a column {name!r} already, which is where the answers go. Rename or remove it.")
    if (kind := table_kind(output)) not in (None, table.kind):
        raise ValueError(
            f"the output is {kind} by its name, but the rows of {table.path} are {table.kind} and stay so; expected the ending .{table.kind}. Give another "
            "output=FILE."
        )
    with output.open("w", encoding="utf-8", newline="") as file:
        if table.kind == "jsonl":
            for index, row in enumerate(table.objects):
                answers = {name: values[index] for name, values in added.items()}
                file.write("\n" if row is None else json.dumps({**row, **answers}, ensure_ascii=False) + "\n")
            return
        write = csv.writer(file, lineterminator="\n", delimiter=_delimiter(table)).writerow if table.quotes else _unquoted(table, file)
        write([*table.columns, *added])
        for index, row in enumerate(table.rows):
            if row is None:
                file.write("\n")
            else:
                write([*row.values(), *("" if values[index] is None else values[index] for values in added.values())])


def _unquoted(table: TextTable, file: TextIO) -> Callable[[list[Any]], None]:
    """Writes rows without quotes. csv's own writer would escape what looks special to it, such as a backslash."""
    mark = _delimiter(table)

    def write(row: list[Any]) -> None:
        fields = list(map(str, row))
        if wrong := [field for field in fields if mark in field or "\n" in field]:
            raise ValueError(f"{wrong[0]!r} holds a separator, and with data.quotes=false no field may. Give the input as JSONL.")
        file.write(mark.join(fields) + "\n")

    return write
