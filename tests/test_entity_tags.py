"""Which tags may follow which, by hand."""

import pytest

from seqlab.entity_tags import is_legal, legal_transitions, split_tag


@pytest.mark.parametrize(
    ("before", "tag", "bio", "iob1"),
    [
        (None, "O", True, True),
        (None, "B-x", True, False),  # IOB1 writes B only to part two spans of a type
        (None, "I-x", False, True),
        ("O", "B-x", True, False),
        ("O", "I-x", False, True),
        ("B-x", "I-x", True, True),
        ("I-x", "I-x", True, True),
        ("I-y", "I-x", False, True),
        ("B-y", "I-x", False, True),
        ("I-x", "B-x", True, True),
        ("B-x", "B-x", True, True),
        ("I-y", "B-x", True, False),
        ("I-x", "O", True, True),
        ("B", "I", True, True),
    ],
)
def test_legal(before: str | None, tag: str, bio: bool, iob1: bool) -> None:
    assert is_legal(before, tag, "bio") is bio
    assert is_legal(before, tag, "iob1") is iob1


def test_transitions_stand_as_from_and_to() -> None:
    assert legal_transitions(["O", "B-x", "I-x"], "bio") == ([True, True, False], [[True, True, False], [True, True, True], [True, True, True]])


def test_a_type_may_hold_hyphens() -> None:
    assert split_tag("B-creative-work") == ("B", "creative-work")


@pytest.mark.parametrize("tag", ["", "X-a", "O-a", "B-", "b-a", "person"])
def test_no_tag(tag: str) -> None:
    with pytest.raises(ValueError, match="is no tag of a span; expected 'O', 'B-TYPE' or 'I-TYPE'"):
        split_tag(tag)
