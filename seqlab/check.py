"""`seqlab check NAME`: the conformance suite on one cell, as a table or as JSON."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from seqlab.list_cells import read_size

if TYPE_CHECKING:
    from rich.table import Table

    from seqlab.testing import Result

COLOURS = {"passed": "green", "failed": "red", "known failure": "yellow"}


def main(argv: list[str]) -> int:
    """Entry point. Returns 0 when the cell conforms, 1 when a check fails, 2 when there is no such cell to check."""
    arguments = parser().parse_args(argv)
    from seqlab.cells.base import make_cell  # torch is not needed for --help
    from seqlab.registry import load_plugin_file
    from seqlab.testing import CHECKS, QUICK_CHECKS, check_cell

    options = dict(arguments.option)
    input_size, hidden_size = arguments.size
    try:
        for file in arguments.plugin:
            load_plugin_file(file)
        factory = partial(make_cell, arguments.name, input_size, hidden_size, **options)
        _build(arguments.name, factory)
        checks = QUICK_CHECKS if arguments.quick else CHECKS
        results = check_cell(factory, checks=checks, known_failures=dict(arguments.known_failure))
    except (ValueError, TypeError) as error:
        print(f"seqlab check: {error}", file=sys.stderr)
        return 2
    passed = all(result.ok for result in results)
    if arguments.json:
        head = {"cell": arguments.name, "input_size": input_size, "hidden_size": hidden_size, "options": options, "passed": passed}
        print(json.dumps({**head, "checks": [asdict(result) for result in results]}, indent=2))
    else:
        _show(arguments.name, options, results, left_out=len(CHECKS) - len(checks))
    return 0 if passed else 1


def _build(name: str, factory: Callable[[], object]) -> None:
    """Build one cell, to see that it can be. Raises ValueError or TypeError, with the place when the cell's own code fails."""
    from seqlab.testing import describe_failure

    try:
        factory()
    except (ValueError, TypeError):
        raise
    except Exception as error:  # a cell that is being written may fail in any way
        raise ValueError(f"cell {name!r} cannot be built: it {describe_failure(error)}.") from error


def parser() -> argparse.ArgumentParser:
    """The arguments of the command, which `--help` explains."""
    made = argparse.ArgumentParser(
        prog="seqlab check",
        description="Run the conformance suite on a cell: a built-in one, an installed plugin's, or one in a file.",
        epilog="Exit status: 0 the cell conforms, 1 a check fails, 2 the cell cannot be built. In Python: seqlab.testing.check_cell(factory).",
    )
    made.add_argument("name", metavar="NAME", help="the registered name, as `seqlab cells` lists it")
    made.add_argument("--option", metavar="KEY=VALUE", type=_option, action="append", default=[], help="an option of the cell, e.g. --option bias=false")
    made.add_argument("--plugin", metavar="FILE", action="append", default=[], help="a Python file that registers cells; may be given again")
    made.add_argument("--size", metavar="I,H", type=read_size, default=(3, 4), help="input_size and hidden_size to check at (3,4: small is fast)")
    made.add_argument("--quick", action="store_true", help="leave out the compiled executor, which takes half a minute to compile")
    made.add_argument(
        "--known-failure",
        metavar="CHECK=REASON",
        type=_known,
        action="append",
        default=[],
        help="a check that cannot hold, and why; if it passes, that is a failure",
    )
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return made


def _option(text: str) -> tuple[str, Any]:
    """key=value with a value as JSON writes it (false, 2, null), or Python (False, .5, None), or else a plain word."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is no option; expected KEY=VALUE, e.g. bias=false")
    for read in (json.loads, ast.literal_eval):  # the word 'False' would be taken for true
        try:
            return key, read(value)
        except (ValueError, SyntaxError):
            continue
    return key, value


def _known(text: str) -> tuple[str, str]:
    check, equals, reason = text.partition("=")
    if not (equals and reason):
        raise argparse.ArgumentTypeError(f"{text!r} has no reason; expected CHECK=REASON, e.g. check_double_backward='the kernel has none'")
    return check, reason


def _show(name: str, options: dict[str, Any], results: Sequence[Result], left_out: int) -> None:
    from rich.text import Text

    from seqlab.show import console

    title = name + "".join(f", {key}={value}" for key, value in options.items())
    console.print(table(title, results))
    for result in results:
        if result.reason:  # below the table, where a sentence has the whole width
            console.print(Text(f"{result.check}: ", style=COLOURS[result.outcome]) + Text(f"{result.reason}\n", style="default"))
    failed = sum(not result.ok for result in results)
    verdict = f"{failed} of {len(results)} checks fail" if failed else f"all {len(results)} checks pass"
    rest = f", {left_out} left out by --quick" if left_out else ""
    console.print(Text(f"{name}: {verdict} in {sum(result.seconds for result in results):.1f} s{rest}", style="red" if failed else "green"))


def table(title: str, results: Sequence[Result]) -> Table:
    """One row for each check: its name, how it ended, milliseconds, and the property that it looks at."""
    from rich.table import Table
    from rich.text import Text

    from seqlab.testing import CHECKS

    properties = {check.__name__: (check.__doc__ or "").splitlines()[0] for check in CHECKS}
    rows = Table("check", "result", "ms", "property", title=Text(title), title_justify="left")
    rows.columns[2].justify = "right"
    for result in results:
        outcome = Text(result.outcome, style=COLOURS[result.outcome])
        # One line for each check: on a narrow terminal the property is cut, and the other columns stay whole.
        looked_at = Text(properties[result.check], style="dim", no_wrap=True, overflow="ellipsis")
        rows.add_row(result.check, outcome, f"{1000 * result.seconds:.0f}", looked_at)
    for column in rows.columns[:3]:
        column.no_wrap = True  # in rich, a column that may wrap is the first to give way
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
