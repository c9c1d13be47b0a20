"""English captions into German (Multi30k), with attention and without: python experiments/multi30k_en_de/run.py [--seeds 1] [--runs DIR]"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

HERE = Path(__file__).parent
VARIANTS = {
    "attention": ["experiment=multi30k_en_de"],
    "no attention": ["experiment=multi30k_en_de", "attention=none", "head.attended_size=null"],
}

if __name__ == "__main__":
    runs = main(HERE, __doc__, VARIANTS, ["bleu", "chrf"], percent=False)
    shutil.copy(runs / "attention-0" / "attention.png", HERE / "attention.png")
