"""A picture of what a pen has learned to write, in the run directory."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as L
import torch
from torch import Tensor

from seqlab.data.pen_strokes import PenStrokes, strokes_of
from seqlab.pictures.strokes import Strokes, draw_strokes
from seqlab.registry import unknown
from seqlab.tasks import Handwriting

PICTURE = "strokes.png"


class StrokePicture(L.Callback):
    """After the test: strokes.png, a column for each digit: `traced` rows of the test's first ones, and `samples` rows that the model
    wrote, as they come and then with `bias` (see seqlab.heads.mixture.draw), up to `longest` steps each."""

    def __init__(self, directory: str | Path, traced: int = 2, samples: int = 4, bias: float = 1.0, longest: int = 80, seed: int = 0) -> None:
        for name, value in (("traced", traced), ("samples", samples), ("longest", longest)):
            if value < 1:
                raise ValueError(f"callbacks.strokes.{name} is {value}; expected at least 1.")
        self.path = Path(directory) / PICTURE
        self.traced, self.samples, self.bias, self.longest, self.seed = traced, samples, bias, longest, seed

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not isinstance(pl_module, Handwriting):
            raise ValueError(unknown("task for the picture of strokes", type(pl_module).__name__, ["Handwriting"], "Leave callbacks=strokes out."))
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, PenStrokes) or not trainer.is_global_zero:
            return  # debug=overfit, where there are batches and no data set; of several processes the first draws
        draw = torch.Generator(pl_module.device).manual_seed(self.seed)
        conditions = data.conditions.to(next(pl_module.parameters()))
        rows: list[tuple[str, list[Strokes]]] = [("traced", row) for row in self._traced(data)]
        for name, bias in (("written", 0.0), (f"bias {self.bias:g}", self.bias)):
            for _ in range(self.samples):
                steps = pl_module.sample(conditions, self.longest, draw, bias).float().cpu()
                rows.append((name, [plain(one) for one in steps]))
        draw_strokes(self.path, rows)

    def _traced(self, data: PenStrokes) -> list[list[Strokes]]:
        """The first test digits of each class, a row for each place in their order; a class that runs out leaves its place empty."""
        columns: list[list[Strokes]] = [[] for _ in data.conditions]
        split = data.splits["test"]
        for index in range(len(split)):  # pyright: ignore[reportArgumentType]
            example = split[index]
            column = columns[int(example.inputs[0, 3:].argmax()) if len(columns) > 1 else 0]
            if len(column) < self.traced:
                column.append(plain(example.targets))
        return [[column[row] if row < len(column) else [] for column in columns] for row in range(self.traced)]


def plain(steps: Tensor) -> Strokes:
    """steps (T, 3) -> strokes as lists, for pictures."""
    return [stroke.tolist() for stroke in strokes_of(steps)]
