"""Vocabularies: which symbols, in which order, and text to ids and back."""

from __future__ import annotations

from collections import Counter

import pytest

from seqlab.data.vocabulary import END, START, UNKNOWN, Vocabulary, build_vocabulary, tokenise


def test_units_cut_as_they_say() -> None:
    text = "He didn't – it's 3.5!\n(Yes)"
    assert tokenise("ab\nc", "characters") == ["a", "b", "\n", "c"]
    assert tokenise(text, "words") == ["He", "didn't", "–", "it's", "3", ".", "5", "!", "\n", "(", "Yes", ")"]
    assert tokenise(text, "tokens") == ["He", "didn't", "–", "it's", "3.5!", "\n", "(Yes)"]
    assert tokenise("ÄB", "characters", lowercase=True) == ["ä", "b"]


def test_symbols_stand_by_frequency_then_by_character() -> None:
    vocabulary = build_vocabulary("characters", Counter("bbbaac c"))
    assert vocabulary.symbols == ("b", "a", "c", " ")
    assert (vocabulary.start, vocabulary.end, vocabulary.unknown) == (None, None, None)


def test_max_size_counts_the_marks() -> None:
    vocabulary = build_vocabulary("words", Counter({"a": 3, "b": 2, "c": 1, "d": 1}), boundaries=True, max_size=5)
    assert vocabulary.symbols == (START, END, UNKNOWN, "a", "b")
    assert build_vocabulary("words", Counter({"a": 3, "b": 2}), boundaries=True, max_size=4).symbols == (START, END, "a", "b")


def test_unknown_is_there_only_where_it_is_needed() -> None:
    train = Counter("aab")
    assert build_vocabulary("characters", train, "ab").unknown is None
    assert build_vocabulary("characters", train, "abc").symbols == (UNKNOWN, "a", "b")
    assert build_vocabulary("characters", train, min_count=2).symbols == (UNKNOWN, "a")


def test_marks_in_the_text_are_not_counted_twice() -> None:
    vocabulary = build_vocabulary("tokens", Counter({"a": 3, UNKNOWN: 5, END: 1}), boundaries=True)
    assert vocabulary.symbols == (START, END, UNKNOWN, "a")


def test_a_vocabulary_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="max_vocabulary is 3"):
        build_vocabulary("words", Counter("abc"), boundaries=True, max_size=3)
    with pytest.raises(ValueError, match="min_count 9"):
        build_vocabulary("words", Counter("abc"), min_count=9)


def test_encode_maps_to_unknown_or_names_the_symbol() -> None:
    assert Vocabulary("characters", (UNKNOWN, "a")).encode("ab").tolist() == [1, 0]
    with pytest.raises(ValueError, match="'b' is not among the 1 symbols"):
        Vocabulary("characters", ("a",)).encode("ab")


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("characters", "Any text – with\nanything in it."),
        ("words", "Hear me: he didn't (really) go, did he?\nNo."),
        ("tokens", "cut up , already . \n next line"),
    ],
)
def test_decode_gives_back_what_was_encoded(unit: str, text: str) -> None:
    vocabulary = build_vocabulary(unit, Counter(tokenise(text, unit)), boundaries=True)
    symbols = tokenise(text, unit)
    written = vocabulary.decode(vocabulary.encode([START, *symbols, END]).tolist())
    assert written == (text.replace(" \n ", "\n") if unit == "tokens" else text)


def test_opening_begins_with_something_to_read() -> None:
    framed = Vocabulary("characters", (START, END, "a"))
    assert framed.opening("").tolist() == [0]
    assert framed.opening("a").tolist() == [0, 2]
    assert Vocabulary("characters", ("a", "\n")).opening("").tolist() == [1]
    assert Vocabulary("characters", (UNKNOWN, "b")).opening("").tolist() == [1]
    assert Vocabulary("characters", ("a", "\n")).opening("a").tolist() == [0]


def test_json_gives_back_the_vocabulary() -> None:
    vocabulary = Vocabulary("words", (START, END, UNKNOWN, "größer", "\n", '"'), lowercase=True)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_bad_vocabularies_are_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'words'"):
        Vocabulary("word", ("a",))
    with pytest.raises(ValueError, match="holds 'a' twice"):
        Vocabulary("words", ("a", "b", "a"))
