"""BLEU, chrF and error rates against their definitions, written out over the whole corpus."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from seqlab.metrics.translation import text_scores
from seqlab.metrics.written import edit_distance

WRITTEN = ["the cat sat on the mat .", "A man rides a red bike, slowly.", "two dogs"]
RIGHT = ["the cat is on the mat .", "A man rides his red bike, slowly.", "Two dogs run in the snow."]
CUT = [text.replace(",", " ,").replace(".", " .").split() for text in (*WRITTEN, *RIGHT)]  # what 13a does to these


def grams(symbols, n: int) -> Counter:
    return Counter(tuple(symbols[place : place + n]) for place in range(len(symbols) - n + 1))


def test_bleu_is_its_definition_over_the_corpus() -> None:
    written, right = CUT[:3], CUT[3:]
    precisions = []
    for n in range(1, 5):
        matches = sum((grams(a, n) & grams(b, n)).total() for a, b in zip(written, right, strict=True))
        precisions.append(matches / sum(grams(a, n).total() for a in written))
    brevity = math.exp(1 - sum(map(len, right)) / sum(map(len, written)))
    expected = 100 * brevity * math.prod(precisions) ** 0.25
    assert brevity < 1
    assert text_scores(WRITTEN, RIGHT)["bleu"] == pytest.approx(expected, rel=1e-5)  # float32
    assert text_scores(RIGHT, RIGHT)["bleu"] == pytest.approx(100)


def test_chrf_is_its_definition_over_the_corpus() -> None:
    written, right = ([text.replace(" ", "") for text in texts] for texts in (WRITTEN, RIGHT))
    scores = []
    for n in range(1, 7):
        matches = sum((grams(a, n) & grams(b, n)).total() for a, b in zip(written, right, strict=True))
        precision, recall = (matches / sum(grams(text, n).total() for text in texts) for texts in (written, right))
        scores.append(5 * precision * recall / (4 * precision + recall))
    assert text_scores(WRITTEN, RIGHT)["chrf"] == pytest.approx(100 * sum(scores) / 6, rel=1e-4)  # float32, with an ε of 1e-16


def test_error_rates_are_edits_over_the_corpus() -> None:
    scores = text_scores(WRITTEN, RIGHT)
    words = sum(edit_distance(a.split(), b.split()) for a, b in zip(WRITTEN, RIGHT, strict=True)) / sum(len(b.split()) for b in RIGHT)
    characters = sum(edit_distance(a, b) for a, b in zip(WRITTEN, RIGHT, strict=True)) / sum(map(len, RIGHT))
    assert (scores["wer"], scores["cer"]) == pytest.approx((words, characters))
    assert scores["exact_match"] == 0
    assert text_scores([RIGHT[0], "x"], RIGHT[:2])["exact_match"] == 0.5


def test_case_counts_and_lengths_have_to_match() -> None:
    assert text_scores(["THE CAT IS ON"], ["the cat is on"])["bleu"] == 0
    with pytest.raises(ValueError, match="2 written texts and 1 references"):
        text_scores(["a", "b"], ["a"])
