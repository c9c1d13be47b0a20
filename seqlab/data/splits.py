"""Which part of the data is for training, validation and test."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations
from pathlib import Path

import torch

from seqlab.data.base import SPLITS

Fractions = Sequence[float]
log = logging.getLogger("seqlab")


def check_fractions(fractions: Fractions) -> None:
    """Raise ValueError unless there is a share for each of SPLITS and they make up the whole."""
    if len(fractions) != len(SPLITS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions are {list(fractions)}; expected shares above 0 for {', '.join(SPLITS)} that add up to 1. Give data.fractions=[0.9,0.05,0.05]."
        )


def split_points(size: int, fractions: Fractions) -> dict[str, slice]:
    """One sequence of `size` items -> the stretch of each split, in order and without gaps."""
    check_fractions(fractions)
    first, second = round(size * fractions[0]), round(size * (fractions[0] + fractions[1]))
    return dict(zip(SPLITS, (slice(0, first), slice(first, second), slice(second, size)), strict=True))


def split_documents(sizes: Sequence[int], fractions: Fractions, seed: int) -> dict[str, list[int]]:
    """Documents of these sizes -> the indices of each split, in order; a document is never on both sides.

    In an order drawn by the seed, each goes to the split that lacks most of its share, so that shares hold by size; the last
    ones go to the splits that would have none, where there are as many documents as splits.
    """
    check_fractions(fractions)
    lacking = [fraction * sum(sizes) for fraction in fractions]
    chosen: list[list[int]] = [[] for _ in SPLITS]
    for turn, index in enumerate(torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed)).tolist()):
        empty = [split for split, part in enumerate(chosen) if not part]
        open_to = empty if len(sizes) >= len(SPLITS) and len(sizes) - turn <= len(empty) else range(len(SPLITS))
        split = max(open_to, key=lambda split: lacking[split])
        chosen[split].append(index)
        lacking[split] -= sizes[index]
    return {name: sorted(indices) for name, indices in zip(SPLITS, chosen, strict=True)}


def split_examples(size: int, fractions: Fractions, seed: int, groups: Sequence[Hashable] | None = None) -> dict[str, list[int]]:
    """`size` examples -> the indices of each split, in order, dealt out by the seed in these shares.

    groups: the group of each example, such as the person it is from. A group goes to one split as a whole; the shares then
    hold as well as its groups allow. Raises ValueError for fewer groups than splits.
    """
    if groups is None:
        return split_documents([1] * size, fractions, seed)
    members = group_members(groups)
    if len(members) < len(SPLITS):
        raise ValueError(
            f"the data has {len(members)} groups ({_names(members)}); expected at least one for each of {', '.join(SPLITS)}. Split without groups."
        )
    parts = list(members.values())
    dealt = split_documents([len(part) for part in parts], fractions, seed)
    return {name: sorted(index for part in chosen for index in parts[part]) for name, chosen in dealt.items()}


def hold_out(size: int, share: float, seed: int, groups: Sequence[Hashable] | None = None) -> tuple[list[int], list[int]]:
    """`size` examples -> the indices that stay and those that are held out, about `share` of them, both in order.

    groups: as in `split_examples`. Of two groups or more one at least is held out, the smallest where all are larger than the share.
    Raises ValueError unless 0 < share < 1, and where there are not two examples or groups to be on both sides.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share to hold out is {share}; expected one between 0 and 1.")
    members = {index: [index] for index in range(size)} if groups is None else group_members(groups)
    parts = list(members.values())
    if len(parts) < 2:
        raise ValueError(
            f"there are {size} examples in {len(parts)} groups to hold out {share:g} of; expected two groups at least. Give more, or other splits."
        )
    order = torch.randperm(len(parts), generator=torch.Generator().manual_seed(seed)).tolist()
    wanted, held = share * size, []
    for part in order:
        after = len(held) + len(parts[part])
        if abs(after - wanted) < abs(len(held) - wanted) and after < size:
            held += parts[part]
    out = set(held or min((parts[part] for part in order), key=len))
    return [index for index in range(size) if index not in out], sorted(out)


def stratified_folds(labels: Sequence[Hashable], num_folds: int, seed: int, groups: Sequence[Hashable] | None = None) -> list[list[int]]:
    """The indices of `num_folds` folds, in order: every example is in one, and each fold has its share of every label.

    Each label's examples are dealt out in turn, in an order drawn by the seed, going on where the label before ended: without
    groups, counts of a label and sizes of folds differ by one at most. With groups, which stay whole, each group goes, the
    largest first, to the fold that lacks most of its labels. Raises ValueError for fewer than 2 folds, or more than there are
    examples or groups.
    """
    members = {index: [index] for index in range(len(labels))} if groups is None else group_members(groups)
    if not 2 <= num_folds <= len(members):
        raise ValueError(f"num_folds is {num_folds}; expected 2 to {len(members)}, the number of {'examples' if groups is None else 'groups'}.")
    order = torch.randperm(len(members), generator=torch.Generator().manual_seed(seed)).tolist()
    parts = [list(members.values())[part] for part in order]
    folds: list[list[int]] = [[] for _ in range(num_folds)]
    if groups is None:
        for turn, index in enumerate(_by_label(labels, parts)):
            folds[turn % num_folds].append(index)
        return [sorted(fold) for fold in folds]
    counts = [Counter[Hashable]() for _ in folds]
    for part in sorted(parts, key=len, reverse=True):
        here = Counter(labels[index] for index in part)
        fold = min(range(num_folds), key=lambda fold: (sum(counts[fold][label] * count for label, count in here.items()), len(folds[fold])))
        folds[fold] += part
        counts[fold] += here
    return [sorted(fold) for fold in folds]


def _by_label(labels: Sequence[Hashable], parts: Sequence[Sequence[int]]) -> list[int]:
    """The indices of the parts, those of one label together, labels in the order in which they first come."""
    place = {label: rank for rank, label in enumerate(dict.fromkeys(labels))}
    return sorted((index for part in parts for index in part), key=lambda index: place[labels[index]])


def leave_group_out(groups: Sequence[Hashable], group: Hashable) -> tuple[list[int], list[int]]:
    """The indices of all other groups, and those of `group`. Raises ValueError when there is no such group, or no other."""
    members = group_members(groups)
    wanted = next((known for known in members if known == group or str(known) == str(group)), None)
    if wanted is None or len(members) < 2:
        raise ValueError(f"there is no group {group!r} to leave out beside others; expected one of {_names(members)}.")
    return [index for index, known in enumerate(groups) if known != wanted], members[wanted]


def group_members(groups: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """{group: indices of its examples}, groups in the order in which they first come."""
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return members


def find_part(pattern: re.Pattern[str], name: str) -> str | None:
    """What a pattern finds in a name, its first parenthesis where it has one; None where that finds nothing: (walk)|(run) finds "run" outside of it."""
    match = pattern.search(name)
    return match and match.group(1 if pattern.groups else 0)


def group_by_name(files: Sequence[Path], pattern: str) -> list[str]:
    """The group of each file: what the regular expression finds in its name, its first parenthesis where it has one.

    Raises ValueError for a pattern that is none and for a file in whose name nothing is found.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}. Repair it.") from error
    found = []
    for file in files:
        group = find_part(compiled, file.name)
        if group is None:
            raise ValueError(
                f"the pattern {pattern!r} finds nothing in the name of {file}; expected a group for every file. Widen the pattern, or remove the file."
            )
        found.append(group)
    return found


def count_duplicates(splits: dict[str, Sequence[Hashable]]) -> dict[str, int]:
    """{"val in train": n, …}: how many examples of each split are in one before it too. Only what is not 0."""
    seen = {name: set(examples) for name, examples in splits.items()}
    counts = {f"{later} in {earlier}": sum(example in seen[earlier] for example in splits[later]) for earlier, later in combinations(splits, 2)}
    return {pair: count for pair, count in counts.items() if count}


def warn_of_duplicates(splits: dict[str, Sequence[Hashable]]) -> dict[str, int]:
    """`count_duplicates`, said in the log when there are any: figures on such examples are too good."""
    counts = count_duplicates(splits)
    if counts:
        said = ", ".join(f"{count} of {pair}" for pair, count in counts.items())
        log.warning("examples that are in two splits: %s. They are kept; what was learned by heart counts as right there.", said)
    return counts


def _names(groups: Sequence[Hashable] | dict[Hashable, list[int]]) -> str:
    named = [str(group) for group in groups]
    return ", ".join(named[:10]) + (", …" if len(named) > 10 else "")
