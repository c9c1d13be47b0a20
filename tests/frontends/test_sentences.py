"""The vector of a sentence against its equation written out in loops; padding changes nothing."""

from __future__ import annotations

import pytest
import torch

from seqlab.frontends import Sentences

INPUTS = torch.tensor([[[3, 1, 2, 4], [2, 0, 0, 0], [0, 0, 0, 0]], [[4, 4, 0, 0], [1, 2, 3, 0], [1, 3, 2, 0]]])


def test_words_are_weighed_by_their_place() -> None:
    torch.manual_seed(0)
    sentences = Sentences(5, 6, uniform=1.0).double()
    found = sentences(INPUTS)
    for row, story in enumerate(INPUTS.tolist()):
        for place, sentence in enumerate(story):
            words = [word for word in sentence if word]
            expected = torch.zeros(6, dtype=torch.float64)
            for j, word in enumerate(words, 1):
                for k in range(1, 7):
                    expected[k - 1] += ((1 - j / len(words)) - k / 6 * (1 - 2 * j / len(words))) * sentences.embedding.weight[word, k - 1]
            torch.testing.assert_close(found[row, place], expected)
    assert not torch.equal(found[1, 1], found[1, 2])  # the order of words matters
    torch.testing.assert_close(sentences(INPUTS[1:, 1:, :3]), found[1:, 1:])


def test_sentences_are_told_from_tokens() -> None:
    with pytest.raises(ValueError, match=r"expected \(batch, sentences, words\)"):
        Sentences(5)(torch.tensor([[1, 2]]))
