"""The conformance suite: what every cell must hold, as plain functions that take a factory and name no cell.

    from seqlab.testing import check_cell, parametrize_cells
    check_cell(lambda: Mine(3, 4), raising=True)

The command `seqlab check NAME` shows the same as a table.
"""

from seqlab.testing.pytest_entry import parametrize_cells
from seqlab.testing.suite import CHECKS, QUICK_CHECKS, Result, check_cell, describe_failure
from seqlab.testing.verdict import Nonconforming

__all__ = ["CHECKS", "QUICK_CHECKS", "Nonconforming", "Result", "check_cell", "describe_failure", "parametrize_cells"]
