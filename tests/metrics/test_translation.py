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
    precisions, recalls = [], []
    for n in range(1, 7):
        matches = sum((grams(a, n) & grams(b, n)).total() for a, b in zip(written, right, strict=True))
        precisions.append(matches / sum(grams(text, n).total() for text in written))
        recalls.append(matches / sum(grams(text, n).total() for text in right))
    precision, recall = sum(precisions) / 6, sum(recalls) / 6
    assert text_scores(WRITTEN, RIGHT)["chrf"] == pytest.approx(500 * precision * recall / (4 * precision + recall))


SIGNS = [
    "The cost is 1,000.50 dollars (approx.) -- yes!",
    '"Quoted" &quot;text&quot; &amp; more',
    "it's a well-known fact: 3-4 cats; don't.",
    "Zwei Männer fahren 10-km mit 3.5 U/min.",
    "日本語の テスト です",
    "a_b  c<skipped>d",
]
SIGNS_RIGHT = [
    "The cost was 1,000.50 dollars (approx) - yes!",
    "\"Quoted\" 'text' & more",
    "it's a well known fact: 3-4 cats; do not.",
    "Zwei Männer fahren 10 km mit 3,5 U/min.",
    "日本語 テスト です。",
    "a_b c d",
]


@pytest.mark.parametrize(
    ("written", "right", "bleu", "chrf"),
    [
        (SIGNS, SIGNS_RIGHT, 40.94197120119296, 71.31484023743602),
        (["ab", "c d"], ["ab", "c e"], 0.0, 62.5),
        (["", "the cat sat on the mat today"], ["a dog ran", "the cat sat on the mat today"], 65.14390575310559, 84.98137694296452),
        (["", ""], ["a dog ran", "b"], 0.0, 0.0),
        (["the the the the the the"], ["the cat is on the mat"], 0.0, 14.7739851587158),
    ],
    ids=["signs", "short", "one empty", "nothing written", "repeated"],
)
def test_figures_are_those_of_sacrebleu(written: list[str], right: list[str], bleu: float, chrf: float) -> None:
    """What sacrebleu 2.6.0 gave, with smooth_method="none" and what else the signatures say."""
    scores = text_scores(written, right)
    assert scores["bleu"] == pytest.approx(bleu, rel=1e-6)  # float32
    assert scores["chrf"] == pytest.approx(chrf, rel=1e-12)


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
