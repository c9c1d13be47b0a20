"""How near written text comes to the text expected, over a whole corpus, with one reference each."""

from __future__ import annotations

from collections.abc import Sequence

from torchmetrics.text import CHRFScore, SacreBLEUScore

from seqlab.metrics.written import error_rates

# what sacrebleu would print for the same figures; its version is left out, as torchmetrics computes them
BLEU_SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:none"
CHRF_SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"


def text_scores(written: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """bleu and chrf in 0..100, wer and cer as shares of the references' words and characters, exact_match as a share of rows.

    BLEU: K. Papineni et al., 2002, as M. Post, 2018, signs it: cased, tokenised by 13a. A corpus without any matching
    4-gram scores 0, as nothing is smoothed. chrF: M. Popović, 2015, n-grams of 1 to 6 characters, β = 2.
    """
    if len(written) != len(references) or not written:
        raise ValueError(f"there are {len(written)} written texts and {len(references)} references; expected one for each, and at least one.")
    nested = [[reference] for reference in references]
    return {
        "bleu": 100 * float(SacreBLEUScore(tokenize="13a")(written, nested)),
        "chrf": 100 * float(CHRFScore(n_word_order=0)(written, nested)),
        **error_rates(written, references),
        "exact_match": sum(a == b for a, b in zip(written, references, strict=True)) / len(written),
    }
