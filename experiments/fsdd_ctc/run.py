"""Strings of spoken digits by CTC over a pyramid: python experiments/fsdd_ctc/run.py [--seeds 3] [--runs DIR]

alignment.png is that of a run: look into its directory.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, {"pyramid": ["experiment=fsdd_ctc"]}, ["wer", "exact_match"])
