"""The command line. Each command's module is imported only when it is asked for: `--help` needs the standard library."""

from __future__ import annotations

import importlib
import os
import sys

from seqlab.command_errors import EXPECTED, HOW_TO_SEE, say, wants_traceback
from seqlab.registry import unknown

COMMANDS = {
    "train": ("seqlab.train_command", "train a model: seqlab train experiment=char_lm cell=gru seed=1"),
    "evaluate": ("seqlab.evaluate_command", "repeat the test figures of a run: seqlab evaluate run=DIR"),
    "generate": ("seqlab.generate_command", "write text from a language model: seqlab generate run=DIR prompt='The '"),
    "predict": ("seqlab.predict_command", "answer new input with a run: seqlab predict run=DIR input=FILE output=FILE"),
    "cells": ("seqlab.list_cells", "list every cell with its source: seqlab cells [--size 64,128] [--json]"),
    "check": ("seqlab.check", "run the conformance suite on a cell: seqlab check lstm [--json]"),
    "bench": ("seqlab.bench.command", "measure cells on every executor beside torch.nn and others: seqlab bench lstm gru"),
    "report": ("seqlab.report.command", "cells × data over seeds, from runs and sweeps: seqlab report DIR… [--out DIR]"),
    "sweep": ("seqlab.sweep.command", "the jobs of a sweep, and what is left to do: seqlab sweep status|retry|prune DIR"),
    "export": ("seqlab.export.command", "a model in a file that runs without seqlab: seqlab export run=DIR format=onnx output=FILE"),
    "completion": ("seqlab.completion", 'print the shell completion: eval "$(seqlab completion bash)"'),
}


def usage() -> str:
    """The text of `seqlab --help`."""
    lines = [f"  {name:<11} {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: seqlab COMMAND …",
            "",
            "The lab bench for recurrent sequence models: write one step of a recurrence, get a lab around it.",
            "",
            *lines,
            "",
            "`seqlab COMMAND --help` explains a command; `seqlab train --help` lists every config group and option.",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Entry point of the `seqlab` script. Returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        from seqlab import __version__

        print(f"seqlab {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        say("seqlab", unknown("command", argv[0], list(COMMANDS)))
        return 2
    try:
        status = importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:])
        sys.stdout.flush()  # here, where a closed pipe is caught
        return status
    except KeyboardInterrupt as interrupt:
        say(f"seqlab {argv[0]}", str(interrupt) or "interrupted")
        return 130
    except BrokenPipeError:  # `seqlab cells | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has nowhere to go at exit
        return 141
    except EXPECTED as error:
        if wants_traceback():
            raise
        say(f"seqlab {argv[0]}", f"{error} ({HOW_TO_SEE})")
        return 1


if __name__ == "__main__":
    sys.exit(main())
