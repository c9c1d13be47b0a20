"""Sentiment of film reviews, two-way and five-way: python experiments/sst/run.py [--seeds 3] [--runs DIR]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

VARIANTS = {"sst2": ["experiment=sst2"], "sst5": ["experiment=sst5"]}

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, VARIANTS, ["accuracy", "macro_f1"])
