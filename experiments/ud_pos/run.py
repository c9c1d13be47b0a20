"""Parts of speech of UD English EWT, words spelt by a CNN: python experiments/ud_pos/run.py [--seeds 3] [--runs DIR]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

VARIANTS = {"cnn": ["experiment=ud_pos"], "words alone": ["experiment=ud_pos", "frontend.spelling=none"]}

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, VARIANTS, ["accuracy"])
