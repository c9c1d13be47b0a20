"""Universal Dependencies, English Web Treebank: parts of speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlab.data.conll import TaggedText
from seqlab.data.labelled_text import LabelledItem
from seqlab.data.named import NamedData, NamedFile
from seqlab.registry import unknown

_URL = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/4c89b5833a70aa5ed3a00bad2f23f57992cc7df8/"
FILES = {"train": "en_ewt-ud-train.conllu", "val": "en_ewt-ud-dev.conllu", "test": "en_ewt-ud-test.conllu"}
COLUMNS = {"upos": 3, "xpos": 4}
UD_EWT = NamedData(
    name="ud_ewt",
    folder="ud_ewt",
    source="Universal Dependencies, UD_English-EWT, release 2.16, https://github.com/UniversalDependencies/UD_English-EWT",
    licence="CC BY-SA 4.0",
    citation='N. Silveira et al., 2014, "A gold standard dependency corpus for English", LREC',
    files=(
        NamedFile(FILES["train"], _URL + FILES["train"], "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b"),
        NamedFile(FILES["val"], _URL + FILES["val"], "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6"),
        NamedFile(FILES["test"], _URL + FILES["test"], "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"),
    ),
)


class UdEwt(TaggedText):
    """12,544, 2,001 and 2,077 sentences from the web. tags: "upos", the 17 universal ones, or "xpos", those of the Penn Treebank.

    data_dir: see seqlab.data.named. Source: N. Silveira et al., 2014, "A gold standard dependency corpus for English".
    """

    def __init__(self, data_dir: str | Path | None = None, tags: str = "upos", **options: Any) -> None:
        if tags not in COLUMNS:
            raise ValueError(unknown("kind of tags", tags, list(COLUMNS)))
        super().__init__(token_column=1, tag_column=COLUMNS[tags], separator="tab", conllu=True, scheme="none", **options)
        self.data_dir = data_dir

    def prepare_data(self) -> None:
        UD_EWT.find_all(list(FILES.values()), self.data_dir)

    def read_files(self) -> dict[str, list[LabelledItem]]:
        return {split: self.read_file(UD_EWT.find(name, self.data_dir), "utf-8") for split, name in FILES.items()}
