"""Symbols of text and their ids: characters or words, with the marks that a text does not hold itself."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property

import torch
from torch import Tensor

from seqlab.registry import unknown

log = logging.getLogger("seqlab")
VOCABULARY = "vocabulary.json"  # the Vocabulary in a run directory
START, END, UNKNOWN = "<s>", "</s>", "<unk>"

# words: runs of letters and digits, with apostrophes inside; every other sign by itself; line ends are symbols.
# tokens: whatever stands between white space, for text that is cut up already; line ends are symbols.
TOKENISERS: dict[str, Callable[[str], list[str]]] = {
    "characters": list,
    "words": re.compile(r"\n|\w+(?:['’]\w+)*|[^\w\s]").findall,
    "tokens": re.compile(r"\n|\S+").findall,
}
# words of scripts that set no space between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese; as long as a clause and not a word
_CLAUSE = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]{6,}")
_MANY_CLAUSES = 0.1  # of the words of a text
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%…’”\n")
_NO_SPACE_AFTER = frozenset("([{“‘\n")


@dataclass(frozen=True)
class Vocabulary:
    """The symbols a model knows; a symbol's id is its position.

    unit: "characters", "words" or "tokens" (see TOKENISERS). lowercase: text is put in lower case before it is cut.
    START and END frame a document or sentence; UNKNOWN stands for every symbol that is not here. Each is a symbol of the
    vocabulary where it is used, and absent where it is not.
    """

    unit: str
    symbols: tuple[str, ...]
    lowercase: bool = False

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if len(self.ids) != len(self.symbols):
            twice = next(symbol for symbol, count in Counter(self.symbols).items() if count > 1)
            raise ValueError(f"the vocabulary holds {twice!r} twice; expected every symbol once.")

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        """{symbol: id}."""
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    @property
    def start(self) -> int | None:
        """The id of START, or None."""
        return self.ids.get(START)

    @property
    def end(self) -> int | None:
        """The id of END, or None."""
        return self.ids.get(END)

    @property
    def unknown(self) -> int | None:
        """The id of UNKNOWN, or None."""
        return self.ids.get(UNKNOWN)

    @property
    def never_written(self) -> tuple[int, ...]:
        """The ids that stand for no text, END apart: a model that writes must not draw them."""
        return tuple(index for index in (self.start, self.unknown) if index is not None)

    def opening(self, prompt: str) -> Tensor:
        """The ids (T,), at least one, that a model reads before it goes on with the prompt: START, then the prompt.

        Without START an empty prompt is opened by a line end, as if a line had just been finished, or where there is none
        by the most frequent symbol. Raises ValueError as `encode` does.
        """
        symbols = tokenise(prompt, self.unit, self.lowercase)
        if self.start is not None:
            symbols = [START, *symbols]
        elif not symbols:
            symbols = ["\n" if "\n" in self.ids else next(symbol for symbol in self.symbols if symbol != UNKNOWN)]
        return self.encode(symbols)

    def missing(self, text: str) -> list[str]:
        """The symbols of the text that are not in the vocabulary, each once, in order."""
        return [symbol for symbol in dict.fromkeys(tokenise(text, self.unit, self.lowercase)) if symbol not in self.ids]

    def encode(self, symbols: Iterable[str]) -> Tensor:
        """Symbols, as `tokenise` gives them -> ids (T,); what is not in the vocabulary becomes UNKNOWN.

        Raises ValueError naming the symbol when there is no UNKNOWN.
        """
        ids, other = self.ids, self.unknown
        if other is not None:
            return torch.tensor([ids.get(symbol, other) for symbol in symbols], dtype=torch.long)
        try:
            return torch.tensor([ids[symbol] for symbol in symbols], dtype=torch.long)
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is not among the {len(self)} symbols of the vocabulary, which has no unknown symbol. Leave it out.") from None

    def decode(self, ids: Iterable[int]) -> str:
        """ids -> text. Words are set with spaces as a reader expects them; START and END leave no trace."""
        text, before = [], None
        for index in ids:
            text.append(self.piece(before, index))
            before = index
        return "".join(text)

    def piece(self, before: int | None, index: int) -> str:
        """The text that one more id adds after the id `before` (None: at the beginning)."""
        symbol = self.symbols[index]
        if symbol in (START, END):
            return ""
        if self.unit == "characters" or before is None:
            return symbol
        left = self.symbols[before]
        if left == START or "\n" in (left, symbol):
            return symbol
        if self.unit == "words" and (symbol in _NO_SPACE_BEFORE or left in _NO_SPACE_AFTER):
            return symbol
        return f" {symbol}"

    def to_json(self) -> str:
        """Plain data, for the run directory."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """What `to_json` wrote."""
        plain = json.loads(text)
        return cls(**{**plain, "symbols": tuple(plain["symbols"])})


def tokenise(text: str, unit: str, lowercase: bool = False) -> list[str]:
    """Text -> symbols of the unit."""
    return TOKENISERS[check_unit(unit)](text.lower() if lowercase else text)


def check_unit(unit: str) -> str:
    """The unit. Raises ValueError for one that TOKENISERS does not have."""
    if unit not in TOKENISERS:
        raise ValueError(unknown("unit", unit, list(TOKENISERS)))
    return unit


def build_vocabulary(
    unit: str,
    train: Counter[str],
    others: Iterable[str] = (),
    *,
    lowercase: bool = False,
    boundaries: bool = False,
    max_size: int | None = None,
    min_count: int = 1,
    open_ended: bool = False,
) -> Vocabulary:
    """The most frequent symbols of the training split, ties in the order of their characters.

    boundaries: START and END are symbols. max_size: of the whole vocabulary, marks included. UNKNOWN is added where a
    symbol of `train` or of `others`, the symbols of the other splits, does not find its place; open_ended: in any case, for
    new text that may hold anything.
    Raises ValueError when nothing but marks would fit.
    """
    if unit == "words":
        _say_uncut(train)
    marks = [START, END] if boundaries else []
    ranked = sorted((symbol for symbol, count in train.items() if count >= min_count and symbol != UNKNOWN), key=lambda symbol: (-train[symbol], symbol))
    ranked = [symbol for symbol in ranked if symbol not in marks]
    known = {*marks, *ranked}
    room = len(ranked) if max_size is None else max_size - len(marks)
    if open_ended or room < len(ranked) or not known.issuperset(train) or not known.issuperset(others):
        marks.append(UNKNOWN)
        room = room if max_size is None else room - 1
    if room < 1 or not ranked:
        raise ValueError(
            f"the vocabulary has no room for a symbol: max_vocabulary is {max_size}, min_count {min_count}, and the training split has {len(train)} "
            f"symbols, beside the marks {marks}. Raise max_vocabulary or lower min_count."
        )
    return Vocabulary(unit, (*marks, *ranked[:room]), lowercase)


def _say_uncut(words: Counter[str]) -> None:
    """Warn of a text whose words are not cut, since nothing stands between them: nearly every one would be unknown."""
    uncut = [word for word in words if _CLAUSE.fullmatch(word)]
    share = sum(words[word] for word in uncut) / max(1, words.total())
    if share > _MANY_CLAUSES:
        log.warning(
            "%.0f %% of the words of the training split are runs of 6 or more signs without a space, such as %r: nothing is known of their parts. "
            "Choose data.unit=characters, or set spaces between the words.",
            100 * share,
            uncut[0],
        )
