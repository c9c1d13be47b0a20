"""Labels from the log-probabilities of a CTC head. Dimension key: T time, V classes, 0 the blank; one row at a time.

Every function takes log_p (T, V) of the valid steps of one row, so that padding cannot matter.
"""

from __future__ import annotations

import math
from itertools import groupby

import torch
from torch import Tensor

BLANK = 0


def collapse(path: list[int]) -> tuple[int, ...]:
    """A path, a class for each step -> its labels: repetitions become one, then blanks go."""
    return tuple(label for label, _ in groupby(path) if label != BLANK)


def ctc_greedy(log_p: Tensor) -> tuple[int, ...]:
    """The labels of the likeliest path, which need not be the likeliest labels."""
    return collapse(log_p.argmax(-1).tolist())


def ctc_beam(log_p: Tensor, size: int = 16, num_best: int = 1) -> list[tuple[tuple[int, ...], float]]:
    """The num_best likeliest labels, or as many as are possible, and their log-probability, summed over all paths within the beam, the best first.

    Source: prefix beam search, A. Hannun et al., 2014, "First-pass large vocabulary continuous speech recognition using
    bi-directional recurrent DNNs", algorithm 1, without a language model. A beam that holds every prefix is exact.
    """
    if not 1 <= num_best <= size:
        raise ValueError(f"num_best is {num_best} and the beam size {size}; expected 1 <= num_best <= size.")
    beam = {(): (0.0, -math.inf)}  # prefix: log-probability of its paths that end in a blank, and in its last label
    for row in log_p.double().tolist():
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (blank, label) in beam.items():
            both = add(blank, label)
            _more(grown, prefix, both + row[BLANK], -math.inf)
            for symbol, value in enumerate(row):
                if symbol == BLANK or value == -math.inf:
                    continue
                if prefix and symbol == prefix[-1]:
                    _more(grown, prefix, -math.inf, label + value)  # the same label goes on
                    _more(grown, (*prefix, symbol), -math.inf, blank + value)  # after a blank it comes again
                else:
                    _more(grown, (*prefix, symbol), -math.inf, both + value)
        possible = [entry for entry in grown.items() if entry[1] != (-math.inf, -math.inf)]  # a label can come again only after a blank
        beam = dict(sorted(possible, key=lambda entry: -add(*entry[1]))[:size])
    return [(prefix, add(*parts)) for prefix, parts in list(beam.items())[:num_best]]


def ctc_alignment(log_p: Tensor, labels: list[int]) -> list[int]:
    """The likeliest path (T,) that collapses to the labels (the Viterbi path). Raises ValueError where there is none."""
    states = [BLANK, *(part for label in labels for part in (label, BLANK))]
    best = torch.full((len(states),), -torch.inf, dtype=torch.float64)
    log_p = log_p.double()
    best[:2] = log_p[0, states[:2]]
    skips = torch.tensor([place >= 2 and state != BLANK and state != states[place - 2] for place, state in enumerate(states)])
    back: list[Tensor] = []
    for step in log_p[1:]:
        one = torch.cat([best.new_full((1,), -torch.inf), best[:-1]])
        two = torch.cat([best.new_full((min(2, len(best)),), -torch.inf), best[:-2]]).where(skips, -torch.inf)
        best, moves = torch.stack([best, one, two]).max(0)
        best = best + step[states]
        back.append(moves)
    place = len(states) - 1
    if len(states) > 1 and best[-2] > best[-1]:
        place -= 1
    if best[place] == -torch.inf:
        raise ValueError(f"no path of {len(log_p)} steps collapses to the {len(labels)} labels; expected a step for each and one between equal neighbours.")
    path = [states[place]]
    for moves in reversed(back):
        place -= int(moves[place])
        path.append(states[place])
    return path[::-1]


def add(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _more(grown: dict[tuple[int, ...], tuple[float, float]], prefix: tuple[int, ...], blank: float, label: float) -> None:
    before = grown.get(prefix, (-math.inf, -math.inf))
    grown[prefix] = (add(before[0], blank), add(before[1], label))
