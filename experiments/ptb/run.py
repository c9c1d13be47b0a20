"""Word models of PTB, Zaremba's small one and a regularised one: python experiments/ptb/run.py [--seeds 1] [--variants ptb_small] [--runs DIR]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

VARIANTS = {"ptb_small": ["experiment=ptb_small"], "ptb_best": ["experiment=ptb_best"]}

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, VARIANTS, ["perplexity"], percent=False)
