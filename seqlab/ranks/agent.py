"""torchrun for one job: python -m seqlab.ranks.agent FOLDER PARENT NUMBER. It starts the ranks on this machine, ends the others
when one of them fails, and writes FOLDER/failures.json with the exit status of those that failed first, below 0 for a signal.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from seqlab.ranks.lifeline import die_with_parent
from seqlab.run_directory import write

AGENT = "SEQLAB_RANKS_AGENT"  # environment variable of a rank: the process that started it
FAILURES = "failures.json"


def main(folder: Path, number: int) -> int:
    """Run the ranks to their end. Returns 0, or 1 when one has failed."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    os.environ[AGENT] = str(os.getpid())
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the job says what was wrong, once
    arguments = ["--standalone", f"--nproc-per-node={number}", "-m", "seqlab.ranks.worker", str(folder)]
    try:
        run(parse_args(arguments))
    except ChildFailedError as failed:
        write(folder / FAILURES, json.dumps({rank: failure.exitcode for rank, failure in failed.failures.items()}))
        return 1
    return 0


if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[3])))
