"""`seqlab generate`: the command line of seqlab.generate. Standard library until the arguments are understood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqlab.arguments import files, parse

HELP = """usage: seqlab generate run=DIR [prompt=TEXT] [KEY=VALUE ...]

Write text with a language model that `seqlab train experiment=char_lm` or `experiment=word_lm` trained.

  run=DIR            the run directory; training prints it in its last line
  prompt=TEXT        what the text begins with; by default the model begins by itself
  length=400         symbols to draw at most, characters or words; a document or a sentence may end before
  temperature=0.8    below 1 the likely becomes likelier, above 1 all becomes more alike
  top_k=K            draw from the K likeliest symbols only; 1 is the likeliest every time
  top_p=P            draw from the fewest symbols whose probabilities add up to P
  seed=0             the same seed writes the same text
  num=1              how many texts, with the seeds seed, seed + 1, ...; of a beam the num best
  beam=K             nothing is drawn: the likeliest text that a beam search with K hypotheses finds; repeats itself more than drawn text does
  checkpoint=NAME    which weights: best or last; by default those that training tested
  plugins=[FILE,...] plugin files that the run was trained with and that you trust

seqlab generate run=DIR prompt='The ' length=400 temperature=0.8
"""

# how the value of each key is read; their defaults stand in seqlab.generate.generate and seqlab.likeliest.likeliest
READERS: dict[str, Callable[[str], Any]] = {
    "run": str,
    "prompt": str,
    "length": int,
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "seed": int,
    "num": int,
    "beam": int,
    "checkpoint": str,
    "plugins": files,
}


def main(argv: list[str]) -> int:
    """Entry point. Returns 0; errors are raised, ValueError for what the caller can mend."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(HELP, end="")
        return 0
    options = parse("generate", argv, READERS)
    drawn = [name for name in ("temperature", "top_k", "top_p", "seed") if name in options]
    if "beam" in options and drawn:
        raise ValueError(f"{drawn[0]} is given, but with beam={options['beam']} nothing is drawn. Leave {drawn[0]} or beam out.")
    from seqlab.generate import generate  # torch is not needed for --help
    from seqlab.likeliest import likeliest

    for piece in (likeliest if "beam" in options else generate)(**options):
        print(piece, end="", flush=True)
    return 0
