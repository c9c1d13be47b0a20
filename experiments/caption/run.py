"""Captions of scenes of digits, by attention over the positions of a CNN: python experiments/caption/run.py [--seeds 3] [--runs DIR] [OVERRIDE …]

MNIST is found as `seqlab train` finds it, or downloaded. Runs that are there already are read, not repeated. Writes results.csv,
caption.png and attention.png beside this file.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

HERE = Path(__file__).parent
VARIANTS = {"attention": ["experiment=caption"]}

if __name__ == "__main__":
    runs = main(HERE, __doc__ or "", VARIANTS, ["exact_match"])
    shutil.copy(runs / "attention-0" / "attention.png", HERE / "attention.png")
