"""A pen that learns to write digits, by a mixture of Gaussians and by a single one: python experiments/handwriting/run.py [--seeds 3] [--runs DIR] [OVERRIDE …]

MNIST is found as `seqlab train` finds it, or downloaded. Runs that are there already are read, not repeated. Writes results.csv,
handwriting.png and strokes.png beside this file.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

HERE = Path(__file__).parent
VARIANTS = {"mixture": ["experiment=handwriting"], "single": ["experiment=handwriting", "head.num_mixtures=1"]}

if __name__ == "__main__":
    runs = main(HERE, __doc__ or "", VARIANTS, ["loss"], percent=False)
    shutil.copy(runs / "mixture-0" / "strokes.png", HERE / "strokes.png")
