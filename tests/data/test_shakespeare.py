"""Tiny Shakespeare as it is: the counts that everybody else reports for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqlab.data.sentences import Sentences
from seqlab.data.streams import TokenStreams
from seqlab.data.text import Text

TEXT = Path(os.environ.get("SEQLAB_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data") / "tinyshakespeare" / "input.txt"

pytestmark = pytest.mark.skipif(not TEXT.exists(), reason="tiny Shakespeare is not there; name the folder that holds tinyshakespeare/ with SEQLAB_DATA_DIR")


def test_65_characters_and_each_of_1_115_394_is_seen_once() -> None:
    data = Text(path=TEXT, chunk_length=64, batch_size=16)
    data.setup()
    assert data.spec.output_size == 65
    seen = 0
    for split in ("train", "val", "test"):
        batches = list(data.loader(split))
        part = data.splits[split]
        assert isinstance(part, TokenStreams)
        counted = sum(batch.targets.numel() if batch.lengths is None else int(batch.lengths.sum()) for batch in batches)
        assert counted == len(part)
        seen += counted
    assert seen == 1_115_394 - 3, "the first character of each split has nothing before it"


def test_its_words_fill_the_vocabulary_of_8000() -> None:
    data = Sentences(path=TEXT, unit="words", lowercase=True, max_vocabulary=8000)
    data.setup()
    assert data.spec.output_size == 8000
    assert data.vocabulary is not None
    assert data.vocabulary.unknown is not None
