"""A trained model, one step at a time: for input that arrives as it happens. Dimension key: B batch, I features per step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.data.base import DataSpec
from seqlab.heads import CRFHead, PooledHead
from seqlab.layers import Bidirectional, Layer
from seqlab.model import SequenceModel
from seqlab.runs import load_run
from seqlab.seq2seq import Decoder


class Stepper:
    """stepper(x_t) -> the scores after this step, for B streams side by side; each call goes on from the one before.

    state: {name: (B, …)}, what the streams have left behind; yours to read, to save, and to set. Scores are those of the
    offline run: of a head over steps those of step t, of one that pools the last step those of the sequence so far.
    """

    def __init__(self, model: SequenceModel, spec: DataSpec, batch_size: int = 1) -> None:
        """Raises ValueError for a model that must see what comes later."""
        if obstacle := why_not_streamed(model):
            raise ValueError(f"this run cannot be streamed: {obstacle}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1 stream.")
        self.model = model.eval()
        self.spec = spec
        self.batch_size = batch_size
        self.over_steps = not pools(model)
        for module in model.modules():
            if isinstance(module, Layer):  # an executor for long sequences would be made ready for one step, and for none
                module.executor, module.recompute = "auto", False
        self.state: State = {}
        self.reset()

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Start anew, all streams or those in `rows`. Raises ValueError for a row that is none."""
        with torch.no_grad():
            start = {name: leaf.clone() for name, leaf in self.model.encoder.initial_state(self.batch_size).items()}
        if rows is not None:
            wrong = [row for row in rows if not 0 <= row < self.batch_size]
            if wrong:
                raise ValueError(f"row {wrong[0]} is no stream; expected 0..{self.batch_size - 1}.")
            for name, leaf in start.items():
                fresh = torch.zeros(self.batch_size, dtype=torch.bool, device=leaf.device)
                fresh[list(rows)] = True
                start[name] = torch.where(fresh.reshape(-1, *[1] * (leaf.dim() - 1)), leaf, self.state[name])
        self.state = start

    def __call__(self, x: Tensor) -> Tensor:
        """x: the inputs of one step without a time axis, (B,) tokens, (B, I) features, (B, 1 + L) words
        or (B, L) the words of a sentence -> scores (B, …).

        Features as the model reads them: scaled, where the run's data is. Raises ValueError for another shape, TypeError
        for another dtype.
        """
        x = torch.as_tensor(x)
        shape = {"tokens": ",", "features": f", {self.spec.input_size}", "words": ", 1 + characters", "sentences": ", words"}[self.spec.inputs]
        if x.dim() != (1 if self.spec.inputs == "tokens" else 2) or len(x) != self.batch_size:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected ({self.batch_size}{shape}): one step of {self.spec.inputs} for each stream.")
        if self.spec.inputs == "features":
            x = x.to(next(self.model.parameters()).dtype)
        elif x.is_floating_point():
            raise TypeError(f"x has dtype {x.dtype}; expected whole numbers, the ids of {self.spec.inputs}.")
        with torch.no_grad():
            scores, self.state = self.model(x[:, None], None, self.state)
        return scores[:, 0] if self.over_steps else scores


def stream(run: str | Path, batch_size: int = 1, checkpoint: str | None = None, plugins: Sequence[str] = ()) -> Stepper:
    """The model of a run directory, to be fed one step at a time: stepper = stream(run); scores = stepper(x_t).

    Raises ValueError as `load_run` does, and for a model that must see what comes later.
    """
    loaded = load_run(Path(run).expanduser(), checkpoint, plugins)
    return Stepper(loaded.task.model, loaded.spec, batch_size)


def why_not_streamed(model: SequenceModel) -> str:
    """What in the model needs later steps than the one it answers for, or an empty string."""
    if any(isinstance(module, Bidirectional) for module in model.encoder.modules()):
        return "its encoder is bidirectional, and the backward direction starts at the end. Train one with encoder.bidirectional=false."
    lengths = torch.tensor([1, 7, 1000])
    for part in (model.frontend, model.encoder):
        if not part.output_lengths(lengths).equal(lengths):
            return f"its {type(part).__name__} makes one step of several. Train one that keeps the steps."
    if model.frontend.mixes_steps:
        return f"its front end {type(model.frontend).__name__} reads the steps after each one, too. Train one that reads steps by themselves."
    if isinstance(model.head, Decoder):
        return "it writes a sequence from another, which it must have read to its end. `seqlab predict` does that."
    if isinstance(model.head, CRFHead):
        return "its head is a CRF, which chooses the tags of a row when the row has ended. Train one with head=steps."
    if pools(model, but="last"):
        return "its head pools over all steps of a sequence. Train one with head.pool=last."
    return ""


def pools(model: SequenceModel, but: str = "") -> bool:
    """Whether the head makes one answer of all steps, by another pool than `but`."""
    return any(isinstance(module, PooledHead) and module.pool != but for module in model.head.modules())
