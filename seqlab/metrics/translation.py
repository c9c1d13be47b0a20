"""How near written text comes to the text expected, over a whole corpus, with one reference each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torchmetrics.text import SacreBLEUScore

from seqlab.metrics.written import error_rates

# what sacrebleu would print for the same figures; its version is left out, as it does not compute them
BLEU_SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:none"
CHRF_SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"
CHRF_ORDER, CHRF_BETA = 6, 2


def text_scores(written: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """bleu and chrf in 0..100, wer and cer as shares of the references' words and characters, exact_match as a share of rows, white space apart.

    BLEU: K. Papineni et al., 2002, as M. Post, 2018, signs it: cased, tokenised by 13a. A corpus without any matching
    4-gram scores 0, as nothing is smoothed. chrF: see `chrf`.
    """
    if len(written) != len(references) or not written:
        raise ValueError(f"there are {len(written)} written texts and {len(references)} references; expected one for each, and at least one.")
    nested = [[reference] for reference in references]
    return {
        "bleu": 100 * float(SacreBLEUScore(tokenize="13a")(written, nested)),
        "chrf": chrf(written, references),
        **error_rates(written, references),
        "exact_match": sum(a.split() == b.split() for a, b in zip(written, references, strict=True)) / len(written),
    }


def chrf(written: Sequence[str], references: Sequence[str]) -> float:
    """chrF of a corpus in 0..100: (1 + β²) P R / (β² P + R), P and R the means over n of the precision and recall of n-grams of characters.

    n from 1 to 6, β = 2, white space left out; n-grams are counted over the corpus, and an n that one side has none of does
    not count. Source: M. Popović, 2015, "chrF: character n-gram F-score for automatic MT evaluation", as M. Post's sacrebleu
    (from 2.0 on) counts. Differs from torchmetrics, which leaves out texts where nothing was written.
    """
    texts = [("".join(found.split()), "".join(right.split())) for found, right in zip(written, references, strict=True)]
    rates: list[tuple[float, float]] = []
    for n in range(1, CHRF_ORDER + 1):
        matches = size = expected = 0
        for found, right in texts:
            grams, wanted = (Counter(text[place : place + n] for place in range(len(text) - n + 1)) for text in (found, right))
            matches += (grams & wanted).total()
            size += grams.total() if wanted else 0  # beside a reference too short for them they are no mistakes
            expected += wanted.total()
        if size and expected:
            rates.append((matches / size, matches / expected))
    if not any(precision for precision, _ in rates):
        return 0.0
    precision, recall = (sum(column) / len(rates) for column in zip(*rates, strict=True))
    return 100 * (1 + CHRF_BETA**2) * precision * recall / (CHRF_BETA**2 * precision + recall)
