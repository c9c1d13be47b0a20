"""The proof that all ranks train the same: their resolved configs and the versions of their packages, compared before anything is built."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def agree(own: Any, gather: Callable[[Any], Sequence[Any]]) -> None:
    """Raise ValueError on every rank unless all have equal plain data. gather: collects what each rank gives, in their order.

    The digests travel first, the data only where these differ.
    """
    digests = gather(hashlib.sha256(json.dumps(own, sort_keys=True, default=str).encode()).hexdigest())
    if len(set(digests)) > 1:
        raise ValueError(difference([dict(leaves(each)) for each in gather(own)]))


def difference(ranks: Sequence[dict[str, str]]) -> str:
    """What to say of the first key that not all ranks have with the same value."""
    keys = list(dict.fromkeys(key for rank in ranks for key in rank))
    key = next(key for key in keys if len({rank.get(key, "absent") for rank in ranks}) > 1)
    values: dict[str, list[int]] = {}
    for number, rank in enumerate(ranks):
        values.setdefault(rank.get(key, "absent"), []).append(number)
    told = "; ".join(f"rank{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}: {value}" for value, numbers in values.items())
    return f"the ranks do not have the same config: {key} differs ({told}). Start all of them with the same command, files and versions."


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, value in words) of everything in plain data."""
    if isinstance(node, dict | list) and node:
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, f"{key}.{name}".lstrip("."))
    else:
        yield key, json.dumps(node, default=str)
