"""Multi30k: captions of photographs in English, German and French."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.data.named import NamedData, NamedFile
from seqlab.data.parallel_text import ParallelText
from seqlab.registry import unknown

LANGUAGES = ("en", "de", "fr")
TESTS = {"2016": "test_2016_flickr", "2017": "test_2017_flickr", "2017_coco": "test_2017_mscoco", "2018": "test_2018_flickr"}
_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
_SHA256 = {  # of what each .gz holds
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test_2016_flickr.fr": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
    "test_2017_flickr.en": "ce1450ddc5ab0834502579d77a170849952e15a2938b34cc503bdc25ebb4fb98",
    "test_2017_flickr.de": "c3078bc3b36808bf9d20eb2347ed6137016179ef59ec0d2b9b8ecc3fb2880081",
    "test_2017_flickr.fr": "6f3764e31dac41e9455e612958bcfd4e877c5e15cd66df2c2b2be6d9bd83e5b6",
    "test_2017_mscoco.en": "43051fdfa86fd5395182e718a94ca67b1b227b9f7c79596ff0f6b813216981d2",
    "test_2017_mscoco.de": "58277df3c75f92f7145a11b910b553d1cf82c439249d4dc237c899609eafac22",
    "test_2017_mscoco.fr": "39cde3f43f32b0a6bf29ce4917a46329ff32e53070c2fac87506695a740ae0a0",
    "test_2018_flickr.en": "4e585c2dd525911a6ea7730e9d0b516239af3f1b1ffae6a2130223cfb639f25e",
    "test_2018_flickr.de": "39fcc8b3331d76fb42d648d019c6898b0d5e58baac87bc2a0bb93f44ec8db207",
    "test_2018_flickr.fr": "234b4a887da0da4801a3e2c6f21336231ff7dd46daeb80cfa1b551c8bbb78239",
}
MULTI30K = NamedData(
    name="multi30k",
    folder="multi30k",
    source="Multi30k, task 1, raw text, https://github.com/multi30k/dataset",
    licence="none stated for the text; for research",
    citation='D. Elliott et al., 2016, "Multi30K: multilingual English-German image descriptions", Workshop on Vision and Language',
    files=tuple(NamedFile(f"{name}.gz", f"{_URL}{name}.gz", sha256, unpacked=True) for name, sha256 in _SHA256.items()),
)


class Multi30k(ParallelText):
    """29,000 and 1,014 pairs for training and validation, 1,000 for the test of 2016 (2017: 1,000 and, of COCO, 461; 2018: 1,071).

    source, target: en, de or fr. test: "2016", "2017", "2017_coco" or "2018". data_dir: see seqlab.data.named.
    Source: D. Elliott et al., 2016, "Multi30K: multilingual English-German image descriptions".
    """

    def __init__(self, data_dir: str | Path | None = None, source: str = "en", target: str = "de", test: str = "2016", **options: Any) -> None:
        for language in (source, target):
            if language not in LANGUAGES:
                raise ValueError(unknown("language of multi30k", language, list(LANGUAGES)))
        if source == target:
            raise ValueError(f"source and target are both {source!r}; expected two languages.")
        if test not in TESTS:
            raise ValueError(unknown("test of multi30k", test, list(TESTS)))
        super().__init__("", "", "", **options)
        self.data_dir = data_dir
        self.names = {
            split: [f"{name}.{language}.gz" for language in (source, target)] for split, name in (("train", "train"), ("val", "val"), ("test", TESTS[test]))
        }

    def prepare_data(self) -> None:
        self.find_files()

    def find_files(self) -> dict[str, str | Sequence[str]]:
        return {split: [str(path) for path in MULTI30K.find_all(names, self.data_dir)] for split, names in self.names.items()}
