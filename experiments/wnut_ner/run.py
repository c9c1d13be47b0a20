"""Entities of WNUT 2017 with a CRF and with a softmax: python experiments/wnut_ner/run.py [--seeds 3] [--runs DIR]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

VARIANTS = {"crf": ["experiment=wnut_ner"], "softmax": ["experiment=wnut_ner", "head=steps"]}

if __name__ == "__main__":
    main(Path(__file__).parent, __doc__, VARIANTS, ["entity_f1", "entity_precision", "entity_recall", "accuracy"])
