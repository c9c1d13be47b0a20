"""Zaremba's small model on PTB: python experiments/ptb_small/run.py [--seeds 1] [--runs DIR] [trainer.max_epochs=13]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

VARIANTS = {"ptb_small": ["experiment=ptb_small"]}

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, VARIANTS, ["perplexity"], percent=False)
