"""A moving digit and its direction, by a CNN for each frame and an LSTM: python experiments/moving_digits/run.py [--seeds 3] [--runs DIR] [OVERRIDE …]

MNIST is found as `seqlab train` finds it, or downloaded. Runs that are there already are read, not repeated. Writes results.csv,
moving_digits.png and video.png beside this file.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

HERE = Path(__file__).parent
VARIANTS = {"lstm": ["experiment=moving_digits"]}

if __name__ == "__main__":
    runs = main(HERE, __doc__ or "", VARIANTS, ["accuracy"])
    shutil.copy(runs / "lstm-0" / "video.png", HERE / "video.png")
