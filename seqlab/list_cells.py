"""`seqlab cells`: every cell with its source. Without --size neither torch nor any plugin is imported."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from typing import Any

from seqlab.registry import CellInfo, list_cells

WIDTH_IN_A_FILE = 200  # characters, where no terminal says how many fit


def main(argv: list[str]) -> int:
    """`seqlab cells [--size I,H] [--json]`. Returns 0, with what is wrong with a plugin in its row."""
    parser = argparse.ArgumentParser(
        prog="seqlab cells",
        description="List every cell that cell=NAME and make_cell(NAME, …) know: what it is, where its equations come from, and who brings it.",
        epilog="A plugin that cannot be used shows its error in its row. `seqlab check NAME` runs the conformance suite on a cell.",
    )
    parser.add_argument("--size", metavar="I,H", type=read_size, help="build each cell with this input and hidden size: adds parameters, state and executors")
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    arguments = parser.parse_args(argv)
    rows = [describe(info, arguments.size) for info in list_cells()]
    if arguments.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False, default=repr))
    else:
        print_table(rows)
    return 0


def read_size(text: str) -> tuple[int, int]:
    """ "64,128" -> (64, 128)."""
    sizes = text.split(",")
    if len(sizes) != 2 or not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of sizes; expected input_size,hidden_size as in 64,128")
    return int(sizes[0]), int(sizes[1])


def describe(info: CellInfo, size: tuple[int, int] | None) -> dict[str, Any]:
    """The row of a cell. With a size, also what can only be said of a cell that is built."""
    row = dataclasses.asdict(info)
    if size is not None:
        row |= {"parameters": None, "state": None, "executors": None}
        if not info.error:
            row |= measure(info, *size)
    return row


def measure(info: CellInfo, input_size: int, hidden_size: int) -> dict[str, Any]:
    """Parameters, state shapes without the batch axis, and the executors that can run the cell with its default options."""
    from seqlab.cells.base import make_cell
    from seqlab.executors import EXECUTORS, choose

    try:
        cell = make_cell(info.name, input_size, hidden_size)
    except Exception as error:  # a plugin may fail in any way; the others are listed none the less
        return {"error": f"{type(error).__name__}: {error}"}

    def can_run(executor: str) -> bool:
        try:
            return bool(choose(cell, executor))
        except ValueError:
            return False

    return {
        "parameters": sum(parameter.numel() for parameter in cell.parameters()),
        "state": {name: list(shape) for name, shape in cell.state_shapes.items()},
        "executors": [executor for executor in EXECUTORS if can_run(executor)],
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows for a person; an error takes the place of the summary."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_IN_A_FILE
    table = Table()
    for name in ("name", "summary", "source", "origin", *[extra for extra in ("parameters", "state", "executors") if extra in rows[0]]):
        table.add_column(name, no_wrap=name in ("name", "parameters"), justify="right" if name == "parameters" else "left")
    for row in rows:
        summary = Text(f"error: {row['error']}", style="red") if row["error"] else Text(row["summary"])
        others = (Text(show(row[str(column.header)])) for column in table.columns[2:])
        table.add_row(Text(row["name"]), summary, *others)
    console.print(table)


def show(value: Any) -> str:
    """A value of a row as text: `h 128, c 128` for a state, `loop, native` for executors."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {'×'.join(map(str, shape)) or 'scalar'}" for name, shape in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value or "")
