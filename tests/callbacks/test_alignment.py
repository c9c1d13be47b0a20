"""What a model with CTC emits over time, as it is drawn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from seqlab import Stack
from seqlab.callbacks.alignment import AlignmentPicture, alignments, label_names
from seqlab.data.base import Batch
from seqlab.frontends import Features
from seqlab.heads import CTCHead, StepHead
from seqlab.model import SequenceModel
from seqlab.pictures.alignment import centres
from seqlab.search.ctc import collapse
from seqlab.tasks import CTC, StepLabelling

BATCH = Batch(torch.randn(2, 9, 2), torch.tensor([[1, 2, 2], [3, 0, 0]]), torch.tensor([9, 4]))


def model(head: type[CTCHead] | type[StepHead]) -> SequenceModel:
    return SequenceModel(Features(2), Stack.of("gru", 2, 3), head(3, 4))


def task() -> CTC:
    return CTC(model(CTCHead), partial(torch.optim.Adam, lr=0.1), labels=("<blank>", " ", "\u2581one", "b")).eval()


def test_rows_end_at_their_lengths_and_targets_stand_on_a_path_of_theirs() -> None:
    first, second = alignments(task(), BATCH, 5)
    assert len(first.probabilities) == len(first.path) == len(first.inputs) == 9
    assert len(second.probabilities) == len(second.path) == len(second.inputs) == 4
    assert first.target is not None
    assert collapse(list(first.target)) == (1, 2, 2)
    assert all(sum(step) == pytest.approx(1, abs=1e-5) for step in first.probabilities)
    assert alignments(task(), BATCH, 1, targets=False)[0].target is None


def test_labels_stand_in_the_middle_of_their_stretch() -> None:
    assert centres([0, 1, 1, 1, 0, 2, 2, 0, 2]) == [(2.0, 1), (5.5, 2), (8.0, 2)]
    assert label_names(task()) == ["–", "␣", "one", "b"]


def test_the_picture_is_drawn_after_the_test_and_of_ctc_alone(tmp_path: Path) -> None:
    callback = AlignmentPicture(tmp_path, rows=1)
    trainer = SimpleNamespace(is_global_zero=True)
    callback.on_test_batch_start(trainer, task(), BATCH, 0)  # type: ignore[arg-type]
    callback.on_test_end(trainer, task())  # type: ignore[arg-type]
    assert (tmp_path / "alignment.png").stat().st_size > 5_000
    with pytest.raises(ValueError, match="Leave callbacks=alignment out"):
        callback.on_test_end(SimpleNamespace(), StepLabelling(model(StepHead), torch.optim.Adam))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"callbacks\.alignment\.rows is 0"):
        AlignmentPicture(tmp_path, rows=0)
