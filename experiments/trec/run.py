"""TREC-6 by a BiLSTM over words, and over n-grams of words: python experiments/trec/run.py [--seeds 3] [--runs DIR]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

VARIANTS = {"trec": ["experiment=trec"], "cnn_rnn": ["experiment=cnn_rnn"]}

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, VARIANTS, ["accuracy", "macro_f1"])
