"""The likeliest sequence: greedy and beam search. Dimension key: B batch, V vocabulary, K beam size, S source length.

Every search takes what a model gives after its prompt, scores (B, V) and state, and a Step that reads one more symbol.
State leaves whose names begin with `memory.` belong to the row, not to a hypothesis, and are not reordered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.search.sampling import Step

SHARED = "memory."  # names of leaves that are the same for all hypotheses of a row begin so
WEIGHTS = "weights"  # the leaf with the attention of the last step, (B, S), that a coverage penalty reads


@dataclass(frozen=True)
class Hypothesis:
    """ids, the end not among them; log_probability of them and of the end where `ended`; score is what hypotheses are ranked by."""

    ids: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool


@dataclass(frozen=True)
class Beam:
    """Keep the `size` likeliest hypotheses at each step, return the `num_best` of the highest score.

    score = log P(Y) / lp(Y) + cp,  lp(Y) = ((5 + |Y|) / 6)^length_penalty,  cp = coverage_penalty Σ_s log min(Σ_t α_ts, 1)

    |Y| counts the end. A hypothesis that has not ended after max_steps competes as it is. size may exceed the vocabulary:
    the beam is then not full in the first steps. size=1 without penalties is greedy search.
    Source: Y. Wu et al., 2016, "Google's neural machine translation system", eq. 14. Hypotheses are pruned by log P, as
    all of a step have one length; the score decides among those that ended.
    """

    size: int = 5
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    num_best: int = 1
    never: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"beam size is {self.size}; expected at least 1 hypothesis.")
        if not 1 <= self.num_best <= self.size:
            raise ValueError(f"num_best is {self.num_best}; expected 1..{self.size}, as many as the beam holds. Give a larger size.")
        for name, value in (("length_penalty", self.length_penalty), ("coverage_penalty", self.coverage_penalty)):
            if not value >= 0:
                raise ValueError(f"{name} is {value}; expected a number of at least 0.")

    def lp(self, length: int) -> float:
        """What log P of a hypothesis of this many symbols is divided by."""
        return ((5 + length) / 6) ** self.length_penalty

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """scores (N, V) -> (N, V) in float64, −∞ for what is never written."""
        if self.never:
            scores = scores.index_fill(-1, torch.tensor(self.never, device=scores.device), -torch.inf)
        return scores.double().log_softmax(-1)


def greedy(step: Step, scores: Tensor, state: State, max_steps: int | Sequence[int], end: int, never: Sequence[int] = ()) -> list[Hypothesis]:
    """The likeliest symbol at each step, one Hypothesis for each of the B rows."""
    return [best for best, *_ in beam_search(step, scores, state, Beam(1, never=tuple(never)), max_steps, end)]


@torch.no_grad()
def beam_search(step: Step, scores: Tensor, state: State, beam: Beam, max_steps: int | Sequence[int], end: int | None) -> list[list[Hypothesis]]:
    """scores (B, V), state -> up to num_best hypotheses for each row, the best first.

    max_steps: one number, or one for each row. end: the symbol that ends a hypothesis; None: none does. A row depends on
    nothing but itself: not on the batch, nor on padding that the model ignores.
    """
    limits = [max_steps] * len(scores) if isinstance(max_steps, int) else list(max_steps)
    if len(limits) != len(scores) or min(limits) < 1:
        raise ValueError(f"max_steps is {max_steps}; expected at least 1, or as many such numbers as there are rows, {len(scores)}.")
    if beam.coverage_penalty and WEIGHTS not in state:
        raise ValueError(f"coverage_penalty is {beam.coverage_penalty} but the model attends to nothing; expected 0. Choose a decoder with attention.")
    batch, vocabulary = scores.shape
    size, device = beam.size, scores.device
    rows = torch.arange(batch, device=device)[:, None]
    first = torch.arange(batch, device=device).repeat_interleave(size)
    state = {name: leaf[first] for name, leaf in state.items()}
    coverage = _coverage(state, None)
    log_p = torch.full((batch, size), -torch.inf, dtype=torch.float64, device=device)
    log_p[:, 0] = 0.0  # all begin as one
    found = beam.log_probabilities(scores).repeat_interleave(size, 0)
    ids = torch.zeros(batch, size, 0, dtype=torch.long, device=device)
    done: list[list[Hypothesis]] = [[] for _ in range(batch)]
    for length in range(1, max(limits) + 1):
        candidates = (log_p[..., None] + found.reshape(batch, size, vocabulary)).flatten(1)
        width = min(2 * size, candidates.shape[1])  # enough to go on with `size`, whatever ends
        values, places = candidates.topk(width, dim=1)
        parents, symbols = places // vocabulary, places % vocabulary
        ends = torch.zeros_like(symbols, dtype=torch.bool) if end is None else symbols == end
        penalties = _penalties(beam, coverage, state, batch)
        within = ends & (torch.arange(width, device=device) < size) & values.isfinite()
        for row, place in within.nonzero().tolist():
            parent, value = int(parents[row, place]), float(values[row, place])
            done[row].append(Hypothesis(tuple(ids[row, parent].tolist()), value, value / beam.lp(length) + penalties[row][parent], True))
        keep = ends.to(torch.int8).sort(dim=1, stable=True).indices[:, :size]  # those that go on, in their order
        log_p = values.gather(1, keep).masked_fill(ends.gather(1, keep), -torch.inf)
        parents, symbols = parents.gather(1, keep), symbols.gather(1, keep)
        if log_p.shape[1] < size:
            missing = size - log_p.shape[1]
            log_p = torch.nn.functional.pad(log_p, (0, missing), value=-torch.inf)
            parents, symbols = (torch.nn.functional.pad(part, (0, missing)) for part in (parents, symbols))
        ids = torch.cat([ids[rows, parents], symbols[..., None]], -1)
        order = (rows * size + parents).flatten()
        state = {name: leaf if name.startswith(SHARED) else leaf[order] for name, leaf in state.items()}
        coverage = None if coverage is None else coverage[order]
        over = [row for row, limit in enumerate(limits) if limit == length]
        _unfinished(beam, done, over, ids, log_p, _penalties(beam, coverage, state, batch))
        log_p[over] = -torch.inf
        if all(_settled(beam, done[row], float(log_p[row].max()), limits[row]) for row in range(batch)):
            break
        scores, state = step(symbols.flatten(), state)
        coverage = _coverage(state, coverage)
        found = beam.log_probabilities(scores)
    return [sorted(row, key=lambda hypothesis: -hypothesis.score)[: beam.num_best] for row in done]


def _settled(beam: Beam, done: list[Hypothesis], best: float, max_steps: int) -> bool:
    """Whether nothing that goes on can come among the best: log P only falls, lp is largest at max_steps, cp is at most 0."""
    if best == -math.inf:
        return True
    if len(done) < beam.num_best:
        return False
    return best / beam.lp(max_steps) <= sorted((h.score for h in done), reverse=True)[beam.num_best - 1]


def _unfinished(beam: Beam, done: list[list[Hypothesis]], rows: Sequence[int], ids: Tensor, log_p: Tensor, penalties: list[list[float]]) -> None:
    """Let what has not ended compete as it is, in the rows whose steps are over."""
    length = ids.shape[-1]
    for row in rows:
        for place, value in enumerate(log_p[row].tolist()):
            if value > -math.inf:
                done[row].append(Hypothesis(tuple(ids[row, place].tolist()), value, value / beam.lp(length) + penalties[row][place], False))


def _coverage(state: State, before: Tensor | None) -> Tensor | None:
    """How much each source position has been looked at, (N, S)."""
    if WEIGHTS not in state:
        return None
    return state[WEIGHTS] if before is None else before + state[WEIGHTS]


def _penalties(beam: Beam, coverage: Tensor | None, state: State, batch: int) -> list[list[float]]:
    """cp of every hypothesis."""
    if not beam.coverage_penalty or coverage is None:
        return [[0.0] * beam.size] * batch
    seen = coverage.double().clamp(1e-10, 1.0).log().masked_fill(~state[f"{SHARED}mask"], 0.0).sum(-1)
    return (beam.coverage_penalty * seen).reshape(batch, beam.size).tolist()
