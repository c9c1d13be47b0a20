"""How an error ends on the terminal: one paragraph that says what is wrong, not a traceback through other libraries.

Standard library only, so that every command can use it.
"""

from __future__ import annotations

import os
import re
import sys

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError)  # what seqlab raises for its callers; the rest are faults
FULL_ERROR = "HYDRA_FULL_ERROR"  # 1 shows tracebacks: Hydra's own switch, obeyed by every command
HOW_TO_SEE = f"{FULL_ERROR}=1 shows the traceback."


def wants_traceback() -> bool:
    """Whether the caller has asked for tracebacks instead of paragraphs."""
    return os.environ.get(FULL_ERROR) == "1"


def one_paragraph(message: str) -> str:
    """The message without line breaks."""
    return re.sub(r"\s*\n\s*", " ", message).strip()


def say(command: str, message: str) -> None:
    """Print what is wrong to stderr."""
    print(f"{command}: {one_paragraph(message)}", file=sys.stderr)
