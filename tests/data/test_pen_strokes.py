"""Thinning and tracing on shapes drawn by hand, and steps that lead back to the strokes they were made of."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from seqlab.data.pen_strokes import GONE, START, PenStrokes, offsets, strokes_of
from seqlab.data.tracing import thin, trace, walk
from tests.data.own_digits import digit, write_digits


def picture(*lines: str) -> torch.Tensor:
    return torch.tensor([[mark == "#" for mark in line] for line in lines])


def test_thinning_leaves_one_line_that_it_then_leaves_alone() -> None:
    ink = torch.zeros(2, 12, 20, dtype=torch.bool)
    ink[0, 3:8, 2:18] = True
    ink[1, 1:11, 8:11] = True
    thinned = thin(ink)
    assert torch.equal(thinned, thin(thinned))
    assert thinned[0].sum(0).max() == 1
    assert int(thinned[0].any(0).sum()) >= 10  # as long as the bar but for its ends
    assert thinned[1].sum(1).max() == 1
    assert thinned[1].any(1)[3:9].all()
    assert not (thinned & ~ink).any()


def test_a_ring_stays_closed() -> None:
    ink = torch.zeros(1, 20, 20, dtype=torch.bool)
    ink[0, 3:17, 3:17] = True
    ink[0, 7:13, 7:13] = False
    (stroke,) = walk({(row, column) for row, column in thin(ink)[0].nonzero().tolist()})
    assert stroke[0] == stroke[-1]
    assert len(set(stroke)) == len(stroke) - 1 >= 30
    assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1 for a, b in itertools.pairwise(stroke))


def test_a_line_goes_straight_on_where_another_crosses() -> None:
    cross = picture("..#..", "..#..", "#####", "..#..", "..#..")
    down, *rest = walk({(row, column) for row, column in cross.nonzero().tolist()})
    assert down == [(row, 2) for row in range(5)]
    assert rest == []  # what is left on either side is shorter than a stroke
    wide = picture("...#...", "...#...", "#######", "...#...", "...#...")
    strokes = walk({(row, column) for row, column in wide.nonzero().tolist()})
    assert strokes == [[(row, 3) for row in range(5)], [(2, 0), (2, 1), (2, 2), (2, 3)], [(2, 3), (2, 4), (2, 5), (2, 6)]]


def test_a_traced_digit_lies_on_its_ink() -> None:
    images = torch.stack([digit(7), digit(0), torch.zeros(28, 28, dtype=torch.uint8)])
    seven, zero, nothing = trace(images)
    assert nothing == []
    for image, strokes in ((images[0], seven), (images[1], zero)):
        for x, y in torch.cat(strokes).round().int().tolist():
            assert image[y, x], (x, y)
    (path,) = seven
    assert path[0, 0] < path[-1, 0]  # from the upper left
    assert path[-1, 1] > 15  # to the lower right
    assert path.diff(dim=0).norm(dim=1).max() < 4


def test_steps_lead_back_to_the_strokes() -> None:
    strokes = [torch.tensor([[10.0, 5.0], [12.0, 6.0]]), torch.tensor([[3.0, 20.0]]), torch.tensor([[GONE + 1, 14.0]])]
    steps = offsets(strokes)
    assert steps[:, 2].tolist() == [0, 1, 1, 1]
    assert (torch.tensor(START) + steps[0, :2]).tolist() == [10, 5]
    back = strokes_of(torch.cat([steps, torch.ones(3, 3)]))
    assert [stroke.tolist() for stroke in back] == [stroke.tolist() for stroke in strokes[:2]]
    assert [len(stroke) for stroke in strokes_of(steps[:1])] == [1]


def test_inputs_are_the_steps_before_and_the_digit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_digits(tmp_path, monkeypatch)
    data = PenStrokes(num_train=12, num_val=5, num_test=10, data_dir=folder, batch_size=4)
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [12, 5, 10]  # type: ignore[arg-type]
    example = data.splits["test"][3]
    assert example.inputs[:, 3:].argmax(1).unique().tolist() == [3]
    assert example.inputs[0, :3].tolist() == [0, 0, 1]
    assert torch.equal(example.inputs[1:, :3], example.targets[:-1])
    assert float(START[0] + example.targets[:, 0].sum()) > GONE  # the pen is gone at the end, and not before
    assert float((START[0] + example.targets[:-1, 0].cumsum(0)).max()) < GONE
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs.shape[2] == data.spec.input_size == 13
    assert batch.targets.shape == (4, batch.inputs.shape[1], 3)
    plain = PenStrokes(num_train=12, num_val=5, num_test=10, classes=False, data_dir=folder)
    plain.setup()
    assert torch.equal(plain.splits["test"][3].inputs, example.inputs[:, :3])
    again = PenStrokes(num_train=12, num_val=5, num_test=10, data_dir=folder, seed=1)
    again.setup()
    assert not torch.equal(again.splits["test"][3].targets[-1], example.targets[-1])
    with pytest.raises(ValueError, match=r"data\.num_val is 11; expected at most 10, the images that MNIST has for it"):
        PenStrokes(num_train=12, num_val=11, num_test=10, data_dir=folder).setup()
    with pytest.raises(ValueError, match="num_val is 0; expected at least 1"):
        PenStrokes(num_val=0)
