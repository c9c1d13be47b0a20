"""Training, validation and test from files: one for each, or one that is split."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seqlab.data.base import SPLITS
from seqlab.data.splits import Fractions, check_fractions, hold_out, split_examples

Item = TypeVar("Item")


@dataclass(frozen=True)
class SplitFiles:
    """Where the splits come from. path: one source, dealt out by `fractions` in an order drawn by `seed`. Or train and test,
    a source each, and val; without val, a part of train is held out, as large as fractions makes it beside the training part.
    """

    path: str | Path | None = None
    train: str | Path | None = None
    val: str | Path | None = None
    test: str | Path | None = None
    fractions: Fractions = (0.8, 0.1, 0.1)
    seed: int = 0

    def __post_init__(self) -> None:
        check_fractions(self.fractions)
        given = [name for name in ("path", *SPLITS) if getattr(self, name) is not None]
        if given not in (["path"], ["train", "test"], ["train", "val", "test"]):
            raise ValueError(
                f"the data has {' and '.join(given) or 'no source'}; expected data.path=SOURCE, which is split by fractions, or data.train=SOURCE and "
                "data.test=SOURCE, with data.val=SOURCE or without."
            )

    def read(self, read: Callable[[Path], list[Item]], group: Callable[[Item], Hashable] | None = None) -> dict[str, list[Item]]:
        """The items of each split. group: what of an item says to which group it belongs; a group is on one side alone.

        Raises ValueError when files that are given share a group, and as `split_examples` and `hold_out` do.
        """
        if self.path is not None:
            items = read(Path(self.path).expanduser())
            groups = None if group is None else [group(item) for item in items]
            return {split: [items[index] for index in part] for split, part in split_examples(len(items), self.fractions, self.seed, groups).items()}
        parts = {split: read(Path(source).expanduser()) for split in SPLITS if (source := getattr(self, split)) is not None}
        if "val" not in parts:
            groups = None if group is None else [group(item) for item in parts["train"]]
            kept, held = hold_out(len(parts["train"]), self.fractions[1] / (self.fractions[0] + self.fractions[1]), self.seed, groups)
            parts = {"train": [parts["train"][index] for index in kept], "val": [parts["train"][index] for index in held], "test": parts["test"]}
        if group is not None:
            check_groups({split: {group(item) for item in items} for split, items in parts.items()})
        return parts


def check_groups(groups: dict[str, set[Hashable]]) -> None:
    """Raise ValueError when a group is in more than one split."""
    splits = list(groups)
    for index, split in enumerate(splits):
        for later in splits[index + 1 :]:
            if both := sorted(map(str, groups[split] & groups[later])):
                more = f", and {len(both) - 1} more are" if len(both) > 1 else ""
                raise ValueError(f"the group {both[0]!r} is in {split} and in {later}{more}; expected each on one side. Split by groups.")
