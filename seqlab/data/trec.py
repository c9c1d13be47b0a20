"""TREC: what kind of thing does a question ask for?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlab.data.labelled_text import LabelledItem
from seqlab.data.named import NamedData, NamedFile
from seqlab.data.splits import hold_out
from seqlab.data.text_classes import TextClasses
from seqlab.data.text_files import read_lines

TREC = NamedData(
    name="trec",
    folder="trec",
    source="UIUC Cognitive Computation Group, Question Classification, https://cogcomp.seas.upenn.edu/Data/QA/QC/; also harvardnlp/sent-conv-torch data/",
    licence="none stated",
    citation='X. Li and D. Roth, 2002, "Learning question classifiers", COLING',
    files=(
        NamedFile(
            "TREC.train", "https://cogcomp.seas.upenn.edu/Data/QA/QC/train_5500.label", "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3"
        ),
        NamedFile("TREC.test", "https://cogcomp.seas.upenn.edu/Data/QA/QC/TREC_10.label", "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e"),
    ),
)


class Trec(TextClasses):
    """5,452 and 500 questions of 6 coarse or 50 fine classes, cut into words already.

    num_classes: 6 or 50. val_share: of the training questions, held out for validation, in an order drawn by split_seed.
    data_dir: see seqlab.data.named. encoding: of new input; the files themselves are latin-1.

    Source: X. Li and D. Roth, 2002, "Learning question classifiers".
    """

    def __init__(self, data_dir: str | Path | None = None, num_classes: int = 6, val_share: float = 0.1, split_seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if num_classes not in (6, 50):
            raise ValueError(f"num_classes of trec is {num_classes}; expected 6, the coarse classes, or 50, the fine ones.")
        self.data_dir, self.num_classes, self.val_share, self.split_seed = data_dir, num_classes, val_share, split_seed

    def prepare_data(self) -> None:
        TREC.find_all(("TREC.train", "TREC.test"), self.data_dir)

    def read_splits(self) -> dict[str, list[LabelledItem]]:
        train, test = (self._read(TREC.find(name, self.data_dir)) for name in ("TREC.train", "TREC.test"))
        kept, held = hold_out(len(train), self.val_share, self.split_seed)
        return {"train": [train[index] for index in kept], "val": [train[index] for index in held], "test": test}

    def _read(self, file: Path) -> list[LabelledItem]:
        items = []
        for number, line in enumerate(read_lines(file, "latin-1"), 1):
            label, space, question = line.partition(" ")
            coarse, colon, fine = label.partition(":")
            if not (space and coarse and colon and fine):
                raise ValueError(f"{file}, line {number}: {line[:40]!r} is no question of TREC; expected COARSE:fine and the question. Get the file again.")
            items.append(self.item(question, coarse if self.num_classes == 6 else label, file, number))
        return items
