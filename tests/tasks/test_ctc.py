"""CTC as a task: what it minimises, how it reads labels off, and rows that are too short."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from seqlab import Stack
from seqlab.data.base import Batch, Example, ExampleSplit, SequenceDataModule
from seqlab.data.fsdd_strings import FSDDStrings
from seqlab.data.mnist_strings import MNISTStrings
from seqlab.frontends import Features, Frontend, ImageConvolutions, LogMel
from seqlab.heads import CTCHead, StepHead
from seqlab.heads.ctc import ctc_losses
from seqlab.layers import pyramid
from seqlab.model import SequenceModel
from seqlab.search.ctc import ctc_beam, ctc_greedy
from seqlab.tasks import CTC
from tests.data.spoken_sets import write_fsdd, write_mnist

BATCH = Batch(torch.randn(3, 12, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([[1, 2, 1], [3, 3, 0], [2, 0, 0]]), torch.tensor([12, 9, 5]))


def make(encoder: Stack | None = None, head: torch.nn.Module | None = None, **options) -> CTC:
    torch.manual_seed(0)
    encoder = encoder or Stack.of("gru", 2, 5, bidirectional=True)
    model = SequenceModel(Features(2), encoder, head or CTCHead(encoder.output_size, 4))
    return CTC(model, partial(torch.optim.Adam, lr=0.03), labels=("<blank>", "a", "b", "c"), **options)


def test_the_loss_is_the_mean_over_rows() -> None:
    task = make().eval()
    outcome = task.outcome(BATCH)
    with torch.no_grad():
        log_p, lengths = task.emissions(BATCH)
    each = [float(ctc_losses(log_p[row : row + 1, :length], BATCH.targets[row : row + 1])) for row, length in enumerate(lengths.tolist())]
    assert outcome.loss.item() == pytest.approx(sum(each) / 3, rel=1e-5)
    assert outcome.count == 3


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_labels_are_read_off_by_the_search_of_the_config(search: str) -> None:
    task = make(search=search, beam_size=4).eval()
    with torch.no_grad():
        log_p, lengths = task.emissions(BATCH)
        log_p = (3 * log_p).log_softmax(-1)
    rows = [log_p[row, :length] for row, length in enumerate(lengths.tolist())]
    expected = [ctc_greedy(row) if search == "greedy" else ctc_beam(row, 4)[0][0] for row in rows]
    assert [tuple(label for label in row if label) for row in task.write(log_p, lengths).tolist()] == expected


def test_answers_carry_the_sum_over_alignments() -> None:
    task = make().eval()
    greedy = task.answer(BATCH)
    task.use_search("beam", 1000, 2)
    for one, several in zip(greedy, task.answer(BATCH), strict=True):
        assert len(several["hypotheses"]) == 2
        assert one["log_probability"] <= several["log_probability"] + 1e-5  # a beam that holds all is exact
        match = [found for found in several["hypotheses"] if found["symbols"] == one["symbols"]]
        assert all(found["log_probability"] == pytest.approx(one["log_probability"], abs=1e-4) for found in match)


def test_one_batch_is_learned() -> None:
    task = make()
    optimizer = torch.optim.Adam(task.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        task.outcome(BATCH).loss.backward()
        optimizer.step()
    assert torch.equal(task.eval().outcome(BATCH).predictions, BATCH.targets)


def test_a_target_longer_than_its_shortened_time_is_named() -> None:
    encoder = pyramid("gru", 2, num_layers=3, hidden_size=4)
    rows = [Example(torch.randn(8, 2), torch.tensor([1, 2])), Example(torch.randn(8, 2), torch.tensor([1, 1]))]
    splits = {"train": ExampleSplit(rows[:1]), "val": ExampleSplit(rows[:1]), "test": ExampleSplit(rows)}
    data = SimpleNamespace(spec=SimpleNamespace(targets="transcript"), splits=splits, place=lambda split, row: f"own.csv, line {row + 2}")
    with pytest.raises(ValueError, match=r"own\.csv, line 3: 2 labels are to be read off 2 steps, which 8 steps of the input become; expected at least 3"):
        make(encoder).prepare(data)  # type: ignore[arg-type]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Choose head=ctc"):
        make(head=StepHead(10, 4))
    with pytest.raises(ValueError, match="'greedi'"):
        make(search="greedi")
    with pytest.raises(ValueError, match="num_best is 5 and the beam size 4"):
        make().use_search("beam", 4, 5)


@pytest.mark.slow
def test_spoken_strings_are_learned_through_a_pyramid(tmp_path: Path) -> None:
    data = FSDDStrings(min_digits=2, max_digits=4, num_train=8, num_val=2, num_test=2, batch_size=8, data_dir=write_fsdd(tmp_path))
    check_learns(data, LogMel(1, 8000), lambda size: pyramid("lstm", size, 2, hidden_size=24))


@pytest.mark.slow
def test_strings_in_images_are_learned_by_a_crnn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTStrings(num_train=8, num_val=2, num_test=2, batch_size=8, data_dir=write_mnist(tmp_path, monkeypatch))
    check_learns(data, ImageConvolutions(28, (6, 8), ((2, 2), (2, 2))), lambda size: Stack.of("lstm", size, 24, bidirectional=True))


def check_learns(data: SequenceDataModule, frontend: Frontend, encoder: Callable[[int], Stack]) -> None:
    """One batch is learned by heart, and then read off without an error."""
    data.setup()
    torch.manual_seed(0)
    inner = encoder(frontend.output_size)
    task = CTC(SequenceModel(frontend, inner, CTCHead(inner.output_size, data.spec.output_size)), torch.optim.Adam, labels=data.spec.labels)
    task.prepare(data)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    batch = next(iter(data.train_dataloader()))
    for _ in range(300):
        optimizer.zero_grad()
        loss = task.outcome(batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        if float(loss.detach()) < 0.05:
            break
    written = task.predict(batch)
    assert torch.equal(written, batch.targets), f"the loss is {float(loss.detach()):.3f}"
