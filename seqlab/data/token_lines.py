"""Sentences as lines of tokens: a token and what is said of it on each line, a blank line after each sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from seqlab.data.text_files import read_lines
from seqlab.entity_tags import is_legal, split_tag

NAMED_SEPARATORS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";"}
DOCUMENT = "-DOCSTART-"  # what CoNLL-2003 puts between documents, where a token would stand
_BLANKS = re.compile("[ \t]+")
_PART = re.compile(r"\d+[-.]\d+")  # the ids of CoNLL-U that are no token: n-m a token that is written as one word, n.m one that is not written
SCHEMES = ("auto", "bio", "iob1", "none")


@dataclass(frozen=True)
class TokenLine:
    """The fields of a line, and its number in the file."""

    line: int
    fields: list[str]


def split_fields(line: str, separator: str | None) -> list[str]:
    """The fields of a line; separator: a name of NAMED_SEPARATORS, any other string as it is, or None for spaces and tabs.

    Other white space is text: the wide space of Chinese and Japanese is a token in many corpora.
    """
    return _BLANKS.split(line.strip(" \t")) if separator is None else line.split(NAMED_SEPARATORS.get(separator, separator))


def is_part(line: str, conllu: bool) -> bool:
    """Whether a line of CoNLL-U is of an id n-m or n.m."""
    return conllu and _PART.fullmatch(line.split("\t", 1)[0]) is not None


def read_sentences(file: Path, encoding: str = "utf-8", separator: str | None = None, conllu: bool = False) -> list[list[TokenLine]]:
    """The sentences of a file. A line of spaces and tabs alone ends one; lines of -DOCSTART- are left out.

    conllu: lines that begin with # are comments and those with the ids n-m and n.m no tokens; both are left out.
    Raises ValueError as `read_text` does.
    """
    sentences: list[list[TokenLine]] = [[]]
    for number, line in enumerate(read_lines(file, encoding), 1):
        if not line.strip(" \t"):
            sentences.append([])
        elif not (conllu and line.startswith("#")) and not is_part(line, conllu) and not line.startswith(DOCUMENT):
            sentences[-1].append(TokenLine(number, split_fields(line, separator)))
    return [sentence for sentence in sentences if sentence]


def column(row: TokenLine, index: int, what: str, file: Path) -> str:
    """The field `index` of a line, from 0 or, below 0, from the end. Raises ValueError naming the line when it has too few, or a blank one."""
    if not -len(row.fields) <= index < len(row.fields):
        raise ValueError(
            f"{file}, line {row.line}: {len(row.fields)} columns, {' '.join(row.fields)[:40]!r}; expected the {what} in column {index}, counted from 0. "
            f"Repair the line, or set data.{what}_column or data.separator."
        )
    value = row.fields[index].strip(" \t")
    if not value:
        raise ValueError(f"{file}, line {row.line}: the {what} in column {index} is blank; expected one. Repair the line, or set data.separator.")
    return value


def tags_to_bio(tags: list[str], lines: list[int], scheme: str, file: Path) -> list[str]:
    """The tags of a sentence in BIO. scheme: which they are in, bio or iob1. Raises ValueError naming the line of one that is not legal in it."""
    out, before = [], None
    for tag, line in zip(tags, lines, strict=True):
        try:
            legal = is_legal(before, tag, scheme)
        except ValueError as error:
            raise ValueError(f"{file}, line {line}: {error} Or take tags as they are with data.scheme=none.") from error
        if not legal:
            after = "at the start of a sentence" if before is None else f"after {before!r}"
            other = "iob1" if scheme == "bio" else "bio"
            raise ValueError(f"{file}, line {line}: the tag {tag!r} {after} is not legal {scheme}; repair it, or say data.scheme={other} or none.")
        mark, kind = split_tag(tag)
        opens = mark == "I" and (before is None or split_tag(before)[0] == "O" or split_tag(before)[1] != kind)
        out.append(f"B{tag[1:]}" if opens else tag)
        before = tag
    return out


def are_spans(tags: set[str]) -> bool:
    """Whether these are meant as the tags of spans: a B-TYPE or I-TYPE is among them, and O or no other tag. Others are then mistakes."""
    typed = {tag for tag in tags if tag[:2] in ("B-", "I-")}
    return bool(typed) and ("O" in tags or typed == tags)


def check_width(sentences: list[list[TokenLine]], file: Path) -> None:
    """Raise ValueError naming the first line with another number of columns than the first."""
    rows = [row for sentence in sentences for row in sentence]
    for row in rows:
        if len(row.fields) != len(rows[0].fields):
            raise ValueError(
                f"{file}, line {row.line}: {len(row.fields)} columns, {' '.join(row.fields)[:40]!r}; expected {len(rows[0].fields)}, as in line "
                f"{rows[0].line}. Repair the line, or set data.separator."
            )


def check_columns(sentences: list[list[TokenLine]], token: int, tag: int, file: Path) -> None:
    """Raise ValueError as `check_width`, and naming the first line without a column for each of token and tag."""
    check_width(sentences, file)
    for row in (row for sentence in sentences for row in sentence):
        if token == tag or (min(token, tag) < 0 and abs(token - tag) == len(row.fields)):  # counted from either end
            raise ValueError(
                f"{file}, line {row.line}: {len(row.fields)} columns, {' '.join(row.fields)[:40]!r}; expected token and tag in columns of their own. "
                "Add the tags, or set data.token_column, data.tag_column or data.separator."
            )
