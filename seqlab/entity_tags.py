"""Tags that mark spans of tokens: B-TYPE, I-TYPE and O.

bio: every span opens with B-TYPE and goes on with I-TYPE of the same type (L. Ramshaw and M. Marcus, 1995, with B on every
span, as in CoNLL-2002). iob1: a span opens with I-TYPE, and with B-TYPE only right after a span of the same type (CoNLL-2003).
"""

from __future__ import annotations

from collections.abc import Sequence

SCHEMES = ("bio", "iob1")


def split_tag(tag: str) -> tuple[str, str]:
    """'B-person' -> ('B', 'person'); 'O' -> ('O', ''); a bare 'B' or 'I' is a span without type. The type may hold hyphens."""
    mark, hyphen, kind = tag.partition("-")
    if mark not in ("B", "I", "O") or (mark == "O" and hyphen) or (hyphen and not kind):
        raise ValueError(f"{tag!r} is no tag of a span; expected 'O', 'B-TYPE' or 'I-TYPE'. Convert other schemes first.")
    return mark, kind


def is_legal(before: str | None, tag: str, scheme: str) -> bool:
    """Whether `tag` may follow the tag `before`, None at the start of a sequence."""
    if scheme not in SCHEMES:
        raise ValueError(f"the tagging scheme is {scheme!r}; expected 'bio' or 'iob1'.")
    mark, kind = split_tag(tag)
    mark_before, kind_before = ("O", "") if before is None else split_tag(before)
    goes_on = mark_before != "O" and kind_before == kind
    return goes_on or mark != ("I" if scheme == "bio" else "B")


def legal_transitions(labels: Sequence[str], scheme: str) -> tuple[list[bool], list[list[bool]]]:
    """For V labels: which may be first (V), and [i][j] whether label j may follow label i (V, V). Every label may be last."""
    return [is_legal(None, tag, scheme) for tag in labels], [[is_legal(before, tag, scheme) for tag in labels] for before in labels]


def scheme_of(labels: Sequence[str]) -> str | None:
    """'bio' when the labels are the tags of spans in which every I-TYPE has its B-TYPE, else None."""
    try:
        parts = [split_tag(label) for label in labels]
    except ValueError:
        return None
    opened = {kind for mark, kind in parts if mark == "B"}
    return "bio" if opened and all(kind in opened for mark, kind in parts if mark == "I") else None
