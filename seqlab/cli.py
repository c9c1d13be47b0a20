"""The command line. Each command's module is imported only when it is asked for: `--help` needs the standard library."""

from __future__ import annotations


def main() -> int:
    """Entry point of the `seqlab` script."""
    return 0
