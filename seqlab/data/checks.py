"""What is looked at once, before training, in the splits that lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.data.base import DataSpec, ExampleSplit, SequenceDataModule, TensorSplit


def check_splits(data: SequenceDataModule) -> None:
    """Raise ValueError for a feature or target that is not finite and for a label that is no class, with split, row and step.

    Looks at TensorSplit and ExampleSplit; what reads its rows from elsewhere has to look at them as it reads.
    """
    for name, split in data.splits.items():
        if isinstance(split, TensorSplit):
            check_finite(split.inputs, f"features of the {name} split")
            check_targets(split.targets, data.spec, f"the {name} split")
        elif isinstance(split, ExampleSplit):
            for row, example in enumerate(split.examples):
                check_finite(example.inputs[None], f"features of the {name} split", row)
                check_targets(example.targets[None], data.spec, f"the {name} split", row)


def check_kind(spec: DataSpec, wanted: str, remedy: str) -> None:
    """Raise ValueError unless the targets are of the kind that a task reads; ids of another kind would be taken for something else."""
    if spec.targets != wanted:
        raise ValueError(f"the data gives targets of the kind {spec.targets!r} but the task reads {wanted!r}. {remedy}")


def check_targets(targets: Tensor, spec: DataSpec, where: str, first_row: int = 0) -> None:
    """Labels against the number of classes, anything else against NaN and infinity."""
    if spec.targets in ("steps", "sequence"):
        check_labels(targets, spec.output_size, where, first_row)
    else:
        check_finite(targets, f"targets of {where}", first_row, ("row", "value") if spec.targets == "values" else ("row", "step", "bit"))


def check_axes(what: str, values: Tensor, axes: str, remedy: str) -> None:
    """Raise ValueError unless `values` has as many axes as the list `axes`, such as "batch, classes", names."""
    if values.dim() != len(axes.split(", ")):
        raise ValueError(f"{what} have shape {tuple(values.shape)}; expected ({axes}). {remedy}")


def check_finite(values: Tensor, what: str, first_row: int = 0, axes: tuple[str, ...] = ("row", "step", "feature")) -> None:
    """Raise ValueError naming the place, by the names of the axes, when values (N, …) hold a NaN or an infinity."""
    if not values.is_floating_point():
        return
    bad = ~torch.isfinite(values)
    if bad.any():
        place = bad.nonzero()[0].tolist()
        at = ", ".join(f"{name} {index}" for name, index in zip(axes, [place[0] + first_row, *place[1:]], strict=False))
        raise ValueError(f"the {what} hold {values[tuple(place)].item()} in {at}; expected finite numbers. Repair or drop that row.")


def check_labels(labels: Tensor, num_classes: int, where: str, first_row: int = 0) -> None:
    """Raise ValueError naming the label and the row, when labels (N,) or (N, T) are not all in 0..num_classes − 1."""
    if labels.is_floating_point():
        raise TypeError(f"labels of {where} have dtype {labels.dtype}; expected whole numbers, one class each.")
    bad = (labels < 0) | (labels >= num_classes)
    if bad.any():
        row, *step = bad.nonzero()[0].tolist()
        at = f"row {row + first_row}" + (f", step {step[0]}" if step else "")
        raise ValueError(
            f"label {labels[(row, *step)].item()} in {at} of {where} is no class; expected 0..{num_classes - 1}. "
            "Number the classes from 0, or check the data's number of classes."
        )
