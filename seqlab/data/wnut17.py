"""WNUT 2017: named entities that are rare or new, in social media."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlab.data.conll import TaggedText
from seqlab.data.labelled_text import LabelledItem
from seqlab.data.named import NamedData, NamedFile

_URL = "https://raw.githubusercontent.com/leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603/"
FILES = {"train": "wnut17train.conll", "val": "emerging.dev.conll", "test": "emerging.test.annotated"}
WNUT17 = NamedData(
    name="wnut17",
    folder="wnut17",
    source="W-NUT 2017 shared task, https://github.com/leondz/emerging_entities_17",
    licence="CC BY 4.0",
    citation='L. Derczynski et al., 2017, "Results of the WNUT2017 shared task on novel and emerging entity recognition"',
    files=(
        NamedFile(FILES["train"], _URL + FILES["train"], "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5"),
        NamedFile(FILES["val"], _URL + FILES["val"], "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8"),
        NamedFile(FILES["test"], _URL + FILES["test"], "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0"),
    ),
)


class Wnut17(TaggedText):
    """3,394, 1,009 and 1,287 texts, with the entities of six types in BIO.

    data_dir: see seqlab.data.named. Source: L. Derczynski et al., 2017, "Results of the WNUT2017 shared task on novel and
    emerging entity recognition".
    """

    def __init__(self, data_dir: str | Path | None = None, **options: Any) -> None:
        super().__init__(token_column=0, tag_column=1, separator="tab", scheme="bio", **options)
        self.data_dir = data_dir

    def prepare_data(self) -> None:
        WNUT17.find_all(list(FILES.values()), self.data_dir)

    def read_files(self) -> dict[str, list[LabelledItem]]:
        return {split: self.read_file(WNUT17.find(name, self.data_dir), "utf-8") for split, name in FILES.items()}
