"""Text as pieces that can be put together again: characters, words, or byte-pair encoded parts of words."""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from seqlab.registry import unknown

UNITS = ("characters", "words", "bpe")
SPACE = "▁"  # stands for the space before a piece
_WORDS = re.compile(r" ?\w+| ?[^\w ]+")


class Pieces:
    """Cuts text into pieces of one unit; white space of any kind and length counts as one space, and so does the mark SPACE itself.

    bpe: words fall into characters, of which the pair that was most frequent in the training text is joined first, then
    the next. Source: R. Sennrich, B. Haddow and A. Birch, 2016, "Neural machine translation of rare words with subword
    units". Differs from theirs: a mark stands before a word and not after it, and punctuation is a word of its own.
    """

    def __init__(self, unit: str, merges: Sequence[tuple[str, str]] = ()) -> None:
        if unit not in UNITS:
            raise ValueError(unknown("unit", unit, list(UNITS)))
        self.unit = unit
        self.merges = tuple((left, right) for left, right in merges)
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._cut: dict[str, list[str]] = {}

    @classmethod
    def learn(cls, unit: str, texts: Iterable[str], num_merges: int) -> Pieces:
        """The pieces of a training text; num_merges: of bpe alone, at most, as pairs that stand there once are not joined."""
        return cls(unit, learn_merges(Counter(word for text in texts for word in words(text)), num_merges) if unit == "bpe" else ())

    def split(self, text: str) -> list[str]:
        """text -> pieces; `join` of them is the text again, but for white space."""
        if self.unit == "characters":
            return list(spaced(text))
        found: list[str] = []
        for word in words(text):
            if self.unit == "words":
                found.append(word)
                continue
            if word not in self._cut:
                self._cut[word] = self._merged(word)
            found += self._cut[word]
        return found

    def join(self, pieces: Iterable[str]) -> str:
        """pieces -> text."""
        return "".join(pieces).replace(SPACE, " ").strip()

    def _merged(self, word: str) -> list[str]:
        parts = list(word)
        while len(parts) > 1:
            rank, place = min((self.ranks.get(pair, len(self.ranks)), place) for place, pair in enumerate(pairwise(parts)))
            if rank == len(self.ranks):
                break
            parts[place : place + 2] = ["".join(parts[place : place + 2])]
        return parts


def words(text: str) -> list[str]:
    """Runs of letters and digits, and runs of other signs, each with the mark SPACE where a space stood before it."""
    text = spaced(text)
    return [word.replace(" ", SPACE) for word in _WORDS.findall(f" {text}")] if text else []


def spaced(text: str) -> str:
    """The text with single spaces alone, none at its ends."""
    return " ".join(text.replace(SPACE, " ").split())


def learn_merges(counts: Counter[str], num_merges: int) -> list[tuple[str, str]]:
    """The pairs to join, the most frequent first; of equally frequent pairs the one that comes first in the alphabet."""
    if num_merges < 0:
        raise ValueError(f"num_merges is {num_merges}; expected at least 0.")
    parts = {word: list(word) for word in counts}
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def count(word: str, sign: int) -> None:
        for pair in pairwise(parts[word]):
            pairs[pair] += sign * counts[word]
            where[pair].add(word)

    for word in counts:
        count(word, 1)
    merges: list[tuple[str, str]] = []
    heap = [(-number, pair) for pair, number in pairs.items()]
    heapq.heapify(heap)
    while heap and len(merges) < num_merges:
        number, pair = heapq.heappop(heap)
        if -number != pairs[pair]:
            continue  # what it was before a merge changed it; the count of now lies in the heap as well
        if -number < 2:
            break
        merges.append(pair)
        changed: set[tuple[str, str]] = set()
        for word in where.pop(pair):
            count(word, -1)
            changed.update(pairwise(parts[word]))
            old, new = parts[word], []
            place = 0
            while place < len(old):
                joined = tuple(old[place : place + 2]) == pair
                new.append(old[place] + old[place + 1] if joined else old[place])
                place += 1 + joined
            parts[word] = new
            count(word, 1)
            changed.update(pairwise(new))
        for other in changed:
            heapq.heappush(heap, (-pairs[other], other))
    return merges
