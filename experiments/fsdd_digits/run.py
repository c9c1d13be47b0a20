"""Spoken digits (FSDD, official split): python experiments/fsdd_digits/run.py [--seeds 3] [--runs DIR]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, {"gru": ["experiment=fsdd_digits"]}, ["accuracy", "macro_f1"])
