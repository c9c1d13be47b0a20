"""Byte pairs against counting every pair anew; pieces join to the text they were cut from."""

from __future__ import annotations

from collections import Counter

import pytest

from seqlab.data.pieces import Pieces, learn_merges, words

TEXT = ["low lower lowest, newest!", "wider  new low\tlow", "(don't) 日本 ünïcode"]


def recounted(counts: Counter[str], num_merges: int) -> list[tuple[str, str]]:
    """The same by the definition: every pair of every word is counted again for each merge."""
    parts, merges = {word: list(word) for word in counts}, []
    for _ in range(num_merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, number in counts.items():
            for pair in zip(parts[word], parts[word][1:], strict=False):
                pairs[pair] += number
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        merges.append(best)
        for word, old in parts.items():
            new: list[str] = []
            for symbol in old:
                if new and (new[-1], symbol) == best:
                    new[-1] += symbol
                else:
                    new.append(symbol)
            parts[word] = new
    return merges


def test_merges_equal_those_of_a_full_recount() -> None:
    counts = Counter(word for text in TEXT for word in words(text)) + Counter({"aaaa": 3, "▁banana": 2})
    assert learn_merges(counts, 50) == recounted(counts, 50)
    assert learn_merges(counts, 3) == recounted(counts, 50)[:3]


@pytest.mark.parametrize("unit", ["characters", "words", "bpe"])
def test_pieces_join_to_the_text(unit: str) -> None:
    pieces = Pieces.learn(unit, TEXT, 20)
    for text in (*TEXT, "never seen: lowish", "", "日本語の テスト。\u3000長い", "</s> <unk> <pad>", "हिन्दी नमस्ते", "e\u0301té", "\u2581", "a\u2581b \u2581 c"):
        cut = pieces.split(text)
        assert pieces.join(cut) == " ".join(text.replace("\u2581", " ").split())  # the mark is white space, or it would come back as such
        assert not {"</s>", "<unk>", "<pad>", "<s>"} & set(cut)  # what stands for no text is never met in one


def test_what_pieces_are() -> None:
    assert Pieces("words").split("A dog, barks!") == ["▁A", "▁dog", ",", "▁barks", "!"]
    pieces = Pieces.learn("bpe", ["low low low lower"], 3)
    assert pieces.split("low lower") == ["▁low", "▁low", "e", "r"]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"no unit is named 'word'.*'words'"):
        Pieces("word")
    with pytest.raises(ValueError, match="num_merges is -1"):
        learn_merges(Counter("a"), -1)
