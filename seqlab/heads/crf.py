"""Labels that depend on one another. Dimension key: B batch, T time, I the encoder's width, V labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.entity_tags import legal_transitions, scheme_of
from seqlab.executors import lengths_to_mask
from seqlab.heads.with_loss import HeadWithLoss

PADDING = -1


class LinearChainCRF(nn.Module):
    """p(tags | e) = exp(s(tags)) / Σ_all exp(s),  s(tags) = start[tag_1] + Σ_t e_t[tag_t] + Σ_t A[tag_t−1, tag_t] + end[tag_T].

    Everything starts at zero, where each step is a softmax by itself. Transitions that are not legal have probability 0.
    What stands past a row's length counts in no result and in no gradient. Half precision is summed up in float32.
    Source: J. Lafferty, A. McCallum, F. Pereira, 2001; with an encoder's scores as in G. Lample et al., 2016, section 2.2.
    Differs from Lample et al. in that the start and the end have scores of their own instead of two more labels: the same model.
    """

    legal_start: Tensor
    legal: Tensor

    def __init__(self, num_labels: int, legal_start: Sequence[bool] | None = None, legal: Sequence[Sequence[bool]] | None = None) -> None:
        """legal_start (V): which labels may be first. legal (V, V): [i][j], whether j may follow i. By default all."""
        super().__init__()
        self.num_labels = num_labels
        self.start_scores = nn.Parameter(torch.zeros(num_labels))
        self.end_scores = nn.Parameter(torch.zeros(num_labels))
        self.transition_scores = nn.Parameter(torch.zeros(num_labels, num_labels))
        # not in the checkpoint: they follow from the labels
        self.register_buffer("legal_start", torch.ones(num_labels).bool() if legal_start is None else torch.tensor(legal_start), persistent=False)
        self.register_buffer("legal", torch.ones(num_labels, num_labels).bool() if legal is None else torch.tensor(legal), persistent=False)
        if self.legal_start.shape != (num_labels,) or self.legal.shape != (num_labels, num_labels):
            raise ValueError(
                f"legal_start and legal have shapes {tuple(self.legal_start.shape)} and {tuple(self.legal.shape)}; "
                f"expected {(num_labels,)} and {(num_labels, num_labels)}, for {num_labels} labels."
            )
        reached = self.legal_start
        for _ in range(num_labels):  # if legal sequences end at all they do so here: without a cycle none is longer than the labels are many
            reached = (reached[:, None] & self.legal).any(0)
        if not reached.any():
            raise ValueError(f"no sequence of more than {num_labels} labels is legal; expected a label that may follow. Check legal_start and legal.")

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor | None = None) -> Tensor:
        """emissions (B, T, V), tags (B, T), lengths (B,) in 1..T -> log p(tags | emissions) of each row, (B,), in nats.

        Raises ValueError for tags outside 0..V−1 or a transition that is not legal (on the CPU; elsewhere looking would wait
        for the device, and a row with such a transition has log-likelihood −inf).
        """
        emissions, mask = self._valid(emissions, lengths)
        tags = torch.where(mask, tags, 0)
        if tags.device.type == "cpu":
            self._check(tags, mask)
        return self._path_score(emissions, tags, mask) - self._log_partition(emissions, mask)

    def log_partition(self, emissions: Tensor, lengths: Tensor | None = None) -> Tensor:
        """emissions (B, T, V), lengths (B,) -> log Σ_tags exp(s(tags)), (B,). Its gradient by the emissions is the marginals."""
        return self._log_partition(*self._valid(emissions, lengths))

    def decode(self, emissions: Tensor, lengths: Tensor | None = None) -> Tensor:
        """emissions (B, T, V), lengths (B,) -> the likeliest legal tags (B, T), −1 in the padding (Viterbi). No gradient.

        Of tags that are equally likely, those whose last label has the lowest number; among these the label before it, and so on.
        """
        with torch.no_grad():
            emissions, mask = self._valid(emissions, lengths)
            start, transitions = self._scores(emissions)
            best = start + emissions[:, 0]  # (B, V), of the tags up to here that end in each label
            held = torch.arange(self.num_labels, device=best.device).expand_as(best)
            pointers = []
            for t in range(1, emissions.shape[1]):
                valid = mask[:, t, None]
                score, pointer = (best[:, :, None] + transitions).max(1)  # the first of equals
                best = torch.where(valid, score + emissions[:, t], best)
                pointers.append(torch.where(valid, pointer, held))  # in the padding the last label is carried along
            tag = (best + self.end_scores).argmax(1)
            tags = [tag]
            for pointer in reversed(pointers):
                tag = pointer.gather(1, tag[:, None])[:, 0]
                tags.append(tag)
            return torch.where(mask, torch.stack(tags[::-1], 1), PADDING)

    def _valid(self, emissions: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        if emissions.dim() != 3 or emissions.shape[-1] != self.num_labels or not emissions.shape[1]:
            raise ValueError(f"emissions have shape {tuple(emissions.shape)}; expected (batch, time, {self.num_labels}) with at least one step.")
        if lengths is None:
            return emissions.to(torch.promote_types(emissions.dtype, torch.float32)), torch.ones_like(emissions[..., 0], dtype=torch.bool)
        mask = lengths_to_mask(lengths, emissions.shape[1])
        emissions = torch.where(mask[..., None], emissions, 0.0)  # not times the mask: 0 times a NaN in the padding is NaN
        return emissions.to(torch.promote_types(emissions.dtype, torch.float32)), mask

    def _check(self, tags: Tensor, mask: Tensor) -> None:
        wrong = ((tags < 0) | (tags >= self.num_labels)).nonzero()
        if len(wrong):
            row, step = wrong[0].tolist()
            raise ValueError(f"row {row} has tag {int(tags[row, step])} at step {step}; expected 0..{self.num_labels - 1}.")
        wrong = torch.cat([~self.legal_start[tags[:, :1]], ~self.legal[tags[:, :-1], tags[:, 1:]] & mask[:, 1:]], 1).nonzero()
        if len(wrong):
            row, step = wrong[0].tolist()
            before = f"follow {int(tags[row, step - 1])}" if step else "be first"
            raise ValueError(
                f"row {row} has tag {int(tags[row, step])} at step {step}, which may not {before}. Repair the tags, or allow it with head.scheme=null."
            )

    def _scores(self, like: Tensor) -> tuple[Tensor, Tensor]:
        start = torch.where(self.legal_start, self.start_scores, -torch.inf)
        return start.to(like.dtype), torch.where(self.legal, self.transition_scores, -torch.inf).to(like.dtype)

    def _path_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        start, transitions = self._scores(emissions)
        own = emissions.gather(2, tags[..., None])[..., 0].sum(1)  # emissions are 0 in the padding
        moves = torch.where(mask[:, 1:], transitions[tags[:, :-1], tags[:, 1:]], 0.0).sum(1)
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
        return start[tags[:, 0]] + own + moves + self.end_scores.to(own.dtype)[last]

    def _log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        start, transitions = self._scores(emissions)
        total = start + emissions[:, 0]  # (B, V), log of the sum over all tags up to here that end in each label
        for t in range(1, emissions.shape[1]):
            total = torch.where(mask[:, t, None], _logsumexp(total[:, :, None] + transitions) + emissions[:, t], total)
        return torch.logsumexp(total + self.end_scores.to(total.dtype), 1)


def _logsumexp(x: Tensor) -> Tensor:
    """Over axis 1; where all terms are −inf, −inf with gradient 0, which in torch.logsumexp is NaN."""
    empty = (x == -torch.inf).all(1)
    return torch.where(empty, -torch.inf, torch.logsumexp(torch.where(empty[:, None], 0.0, x), 1))


class CRFHead(HeadWithLoss):
    """Emissions e_BTV = y_BTI Wᵀ + b, then a linear-chain CRF: the tags of a row are judged and found together.

    scheme: "bio" or "iob1" forbids what that scheme does not allow, known from the names of the labels; None forbids nothing;
    "auto" is "bio" where the labels are such tags, and None elsewhere.
    """

    def __init__(self, input_size: int, output_size: int, labels: Sequence[str] = (), scheme: str | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        if scheme == "auto":
            scheme = scheme_of(labels)
        if scheme is not None and len(labels) != output_size:
            raise ValueError(f"scheme is {scheme!r} but {len(labels)} labels have names; expected {output_size}. Name the labels, or leave scheme out.")
        self.input_size = input_size
        self.output_size = output_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, output_size)
        legal_start, legal = (None, None) if scheme is None else legal_transitions(labels, scheme)
        self.crf = LinearChainCRF(output_size, legal_start, legal)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I) -> emissions (B, T, V)."""
        if lengths is not None:
            y = torch.where(lengths_to_mask(lengths, y.shape[1])[..., None], y, 0.0)
        return self.linear(self.dropout(y))

    def losses(self, y: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """−log p(targets | y) of each row, (B,)."""
        return -self.crf.log_likelihood(self(y, lengths), targets, lengths)

    def predict(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.crf.decode(self(y, lengths), lengths)
