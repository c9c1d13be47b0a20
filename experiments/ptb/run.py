"""Word models of PTB, Zaremba's small one and a regularised one: python experiments/ptb/run.py [--seeds 1] [--variants ptb_small] [--runs DIR]

After training, each model is also tested with a neural cache, whose values are chosen on the validation split: cache.csv.
"""

import csv
import sys
from pathlib import Path

from seqlab.evaluate import evaluate

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import main

HERE = Path(__file__).parent
VARIANTS = {"ptb_small": ["experiment=ptb_small"], "ptb_best": ["experiment=ptb_best"]}
WINDOWS = (500, 2000)

if __name__ == "__main__":
    runs = main(HERE, __doc__, VARIANTS, ["perplexity"], percent=False)
    rows = []
    for run in sorted(runs.glob("*/summary.json")):
        for window in WINDOWS:
            metrics = evaluate(run.parent, changes=["data.eval_batch_size=1"], cache=window, progress=True)
            figures = {name.removeprefix("test/"): round(value, 4) for name, value in metrics.items() if "cache" in name or name == "test/perplexity"}
            rows.append({"run": run.parent.name, **figures})
            print(rows[-1], flush=True)
    with open(HERE / "cache.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
