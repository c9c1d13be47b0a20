"""Words with their tags below them, each tag in a colour of its own."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from seqlab.pictures.fonts import plain_text
from seqlab.pictures.saving import save_picture

MOST_SENTENCES = 10
COLUMNS = 96  # of a line, in narrow characters
_INCH = 0.105  # of a column
_PAIR = 0.46  # inches for a line of words with their tags
Placed = tuple[int, int, str, str]  # line, column, word, tag


def draw_tags(path: Path, sentences: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
    """The first MOST_SENTENCES sentences (words, tags), broken into lines. A tag O is left out; B-X and I-X have one colour."""
    from matplotlib import colormaps, rc_context  # not at import time: it costs a second
    from matplotlib.figure import Figure

    placed = list(place_words(sentences[:MOST_SENTENCES]))
    kinds = sorted({kind_of(tag) for _, _, _, tag in placed} - {"O"})
    colours = {kind: colormaps["tab20"]((2 * rank + 1) % 20) for rank, kind in enumerate(kinds)}
    lines = 1 + max(line for line, *_ in placed)
    with rc_context(plain_text(text for _, _, *texts in placed for text in texts)):
        figure = Figure(figsize=(COLUMNS * _INCH, 0.2 + lines * _PAIR))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(-1, COLUMNS + 1), ylim=(lines, -0.3))
        axes.axis("off")
        for line, left, word, tag in placed:
            colour = colours.get(kind_of(tag), (1, 1, 1, 0))
            axes.text(left, line, word, fontsize=9, va="top", bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5})
            if tag != "O":
                axes.text(left, line + 0.5, tag, fontsize=6, va="top", color="0.35")
        save_picture(figure, path)


def place_words(sentences: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Iterator[Placed]:
    """Every word with its line and column; a sentence begins a line."""
    line = 0
    for words, tags in sentences:
        left = 0
        for word, tag in zip(words, tags, strict=True):
            wide = 1 + max(columns_of(word), 0 if tag == "O" else round(0.7 * columns_of(tag)))  # tags are smaller
            if left and left + wide > COLUMNS:
                line, left = line + 1, 0
            yield line, left, word, tag
            left += wide
        line += 1


def kind_of(tag: str) -> str:
    """What has one colour: the TYPE of B-TYPE and I-TYPE, any other tag by itself."""
    return tag[2:] if tag[:2] in ("B-", "I-") else tag


def columns_of(text: str) -> int:
    """How wide a text is, in narrow characters: Chinese and Japanese signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
