"""The CRF against sums and maxima over every tag sequence, written out."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from seqlab.heads.crf import CRFHead, LinearChainCRF

V = 3
LENGTHS = torch.tensor([4, 1, 3])
# label 2 may not be first nor follow itself, and 1 may not follow 0
START, LEGAL = [True, True, False], [[True, False, True], [True, True, True], [True, True, False]]


def made(legal: bool = True, integers: bool = False) -> tuple[LinearChainCRF, Tensor]:
    """A CRF with random scores and emissions, in float64; whole numbers make ties, which then are exact."""
    torch.manual_seed(3)
    crf = LinearChainCRF(V, START, LEGAL) if legal else LinearChainCRF(V)
    crf.double()
    for p in crf.parameters():
        torch.nn.init.normal_(p, std=1.5)
    emissions = 2 * torch.randn(3, 4, V, dtype=torch.float64)
    if integers:
        for p in crf.parameters():
            p.data.round_()
        emissions.round_()
    return crf, emissions


def all_tags(crf: LinearChainCRF, emissions: Tensor) -> dict[tuple[int, ...], Tensor]:
    """{legal tags: score} of one row, unpadded: (T, V)."""
    scores = {}
    for tags in product(range(V), repeat=len(emissions)):
        if bool(crf.legal_start[tags[0]]) and all(bool(crf.legal[a, b]) for a, b in pairwise(tags)):
            score = crf.start_scores[tags[0]] + crf.end_scores[tags[-1]]
            for t, tag in enumerate(tags):
                score = score + emissions[t, tag] + (crf.transition_scores[tags[t - 1], tag] if t else 0)
            scores[tags] = score
    return scores


@pytest.mark.parametrize("legal", [True, False])
def test_partition_likelihood_and_marginals_are_those_of_the_sum_over_all_tags(legal: bool) -> None:
    crf, emissions = made(legal)
    emissions.requires_grad_()
    log_z = crf.log_partition(emissions, LENGTHS)
    (gradient,) = torch.autograd.grad(log_z.sum(), emissions, retain_graph=True)
    for row, length in enumerate(LENGTHS.tolist()):
        scores = all_tags(crf, emissions[row, :length])
        z = torch.stack(list(scores.values())).exp().sum()
        torch.testing.assert_close(log_z[row], z.log())
        marginals = torch.zeros(4, V, dtype=torch.float64)
        for tags, score in scores.items():
            for t, tag in enumerate(tags):
                marginals[t, tag] += (score.exp() / z).item()
            padded = torch.tensor([*tags, *[77] * (4 - length)])  # tags in the padding are not looked at
            likelihood = crf.log_likelihood(emissions[row : row + 1], padded[None], LENGTHS[row : row + 1])
            torch.testing.assert_close(likelihood[0], score - z.log())
        torch.testing.assert_close(gradient[row], marginals)


@pytest.mark.parametrize("legal", [True, False])
@pytest.mark.parametrize("integers", [True, False])
def test_decodes_the_best_of_all_tags_and_of_equals_the_lowest_from_the_end(legal: bool, integers: bool) -> None:
    crf, _ = made(legal, integers)
    ties = 0
    for seed in range(20):
        emissions = 2 * torch.randn(3, 4, V, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        emissions = emissions.round() if integers else emissions
        decoded = crf.decode(emissions, LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            scores = {tags: score.item() for tags, score in all_tags(crf, emissions[row, :length]).items()}
            best = [tags for tags, score in scores.items() if score == max(scores.values())]
            ties += len(best) > 1
            assert decoded[row].tolist() == [*min(best, key=lambda tags: tags[::-1]), *[-1] * (4 - length)]
    assert (ties > 3) == integers  # else the rule for ties went untested


def test_all_equal_decodes_to_the_first_label() -> None:
    assert LinearChainCRF(V).decode(torch.zeros(1, 5, V)).tolist() == [[0] * 5]


@pytest.mark.parametrize("legal", [True, False])
def test_gradcheck(legal: bool) -> None:
    crf, emissions = made(legal)
    tags = crf.decode(emissions, LENGTHS)

    def likelihood(emissions: Tensor, *weights: Tensor) -> Tensor:
        named = dict(zip(dict(crf.named_parameters()), weights, strict=True))
        return torch.func.functional_call(_Likelihood(crf), {f"crf.{name}": weight for name, weight in named.items()}, (emissions, tags))

    assert torch.autograd.gradcheck(likelihood, (emissions.requires_grad_(), *crf.parameters()))


class _Likelihood(torch.nn.Module):
    def __init__(self, crf: LinearChainCRF) -> None:
        super().__init__()
        self.crf = crf

    def forward(self, emissions: Tensor, tags: Tensor) -> Tensor:
        return self.crf.log_likelihood(emissions, tags, LENGTHS)


@pytest.mark.parametrize("padding", [float("nan"), float("inf"), 1e30])
def test_padding_never_counts(padding: float) -> None:
    torch.manual_seed(0)
    head = CRFHead(5, V).double()
    for p in head.crf.parameters():
        torch.nn.init.normal_(p)
    y = torch.randn(3, 4, 5, dtype=torch.float64)
    for row, length in enumerate(LENGTHS.tolist()):
        y[row, length:] = padding
    y.requires_grad_()
    tags = torch.randint(V, (3, 4))
    losses = head.losses(y, tags, LENGTHS)
    losses.sum().backward()
    decoded = head.predict(y, LENGTHS)
    gradients = [p.grad.clone() for p in head.parameters() if p.grad is not None]
    head.zero_grad()
    for row, length in enumerate(LENGTHS.tolist()):
        alone = head.losses(y[row : row + 1, :length], tags[row : row + 1, :length])
        torch.testing.assert_close(losses[row], alone[0])
        assert decoded[row, :length].tolist() == head.predict(y[row : row + 1, :length])[0].tolist()
        alone.sum().backward()
    for gradient, p in zip(gradients, head.parameters(), strict=True):
        torch.testing.assert_close(gradient, p.grad)
    assert y.grad is not None
    assert (y.grad[1, 1:] == 0).all()


LABELS = ["O", "B-x", "I-x", "B-long-name", "I-long-name"]


@pytest.mark.parametrize(("scheme", "opens"), [("bio", "B"), ("iob1", "I")])
def test_illegal_tags_are_never_decoded_and_have_no_probability(scheme: str, opens: str) -> None:
    torch.manual_seed(0)
    head = CRFHead(4, 5, LABELS, scheme)
    for p in head.crf.parameters():
        torch.nn.init.normal_(p, std=5.0)
    broken = 0
    for y in torch.randn(60, 1, 6, 4) * 30:
        names = [LABELS[tag] for tag in head.predict(y)[0].tolist()]
        greedy = [LABELS[tag] for tag in head(y)[0].argmax(-1).tolist()]
        for found, counts in ((names, False), (greedy, True)):
            for before, tag in zip(["O", *found], found, strict=False):
                wrong = tag[0] not in ("O", opens) and (before == "O" or before[2:] != tag[2:])
                assert counts or not wrong, found
                broken += counts and wrong
    assert broken > 20  # the scores alone ask for illegal tags, so the constraint did work


def test_a_label_that_no_sequence_reaches_at_a_step_has_finite_gradients() -> None:
    crf = LinearChainCRF(3, [True, False, False], [[True, True, False], [False, False, True], [True, False, True]])
    emissions = torch.randn(1, 4, 3, requires_grad=True)  # label 2 is out of reach in the first two steps
    crf.log_partition(emissions).sum().backward()
    assert emissions.grad is not None
    assert torch.isfinite(emissions.grad).all()
    assert emissions.grad[0, 1, 2] == 0
    assert crf.transition_scores.grad is not None
    assert torch.isfinite(crf.transition_scores.grad).all()


def test_half_precision_is_summed_up_in_float32() -> None:
    crf = LinearChainCRF(2)
    log_z = crf.log_partition(torch.zeros(1, 600, 2, dtype=torch.bfloat16))
    # 1e-5: 600 roundings of a sum near 416 in float32; bfloat16 would be off by more than 1
    torch.testing.assert_close(log_z, torch.tensor([600 * 0.6931471805599453]), rtol=1e-5, atol=0)


def test_errors_say_what_is_wrong() -> None:
    crf = LinearChainCRF(V, START, LEGAL)
    with pytest.raises(ValueError, match=r"emissions have shape \(2, 4, 5\); expected \(batch, time, 3\)"):
        crf.decode(torch.zeros(2, 4, 5))
    with pytest.raises(ValueError, match=r"row 1 has tag 3 at step 2; expected 0..2"):
        crf.log_likelihood(torch.zeros(2, 4, V), torch.tensor([[0, 0, 0, 0], [0, 0, 3, 0]]))
    with pytest.raises(ValueError, match=r"row 0 has tag 1 at step 2, which may not follow 0\. Repair the tags, or allow it with head\.scheme=null"):
        crf.log_likelihood(torch.zeros(1, 4, V), torch.tensor([[1, 0, 1, 0]]))
    with pytest.raises(ValueError, match=r"row 0 has tag 2 at step 0, which may not be first"):
        crf.log_likelihood(torch.zeros(1, 2, V), torch.tensor([[2, 0]]))
    with pytest.raises(ValueError, match=r"legal_start and legal have shapes \(2,\) and \(3, 3\)"):
        LinearChainCRF(V, [True, True], LEGAL)
    with pytest.raises(ValueError, match="no sequence of more than 2 labels is legal"):
        LinearChainCRF(2, [True, False], [[False, True], [False, False]])
    with pytest.raises(ValueError, match=r"scheme is 'bio' but 0 labels have names; expected 5"):
        CRFHead(4, 5, scheme="bio")
    with pytest.raises(ValueError, match=r"'S-x' is no tag of a span"):
        CRFHead(4, 2, ["O", "S-x"], "bio")
    with pytest.raises(ValueError, match=r"the tagging scheme is 'iob2'"):
        CRFHead(4, 2, ["O", "B-x"], "iob2")
