"""`seqlab predict`: the command line of seqlab.predict. Standard library until the arguments are understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqlab.arguments import files, parse

HELP = """usage: seqlab predict run=DIR input=FILE output=FILE [KEY=VALUE ...] [--json]

Answer new input of the kind the run was trained on, row for row: labels, tags, forecasts, anomalies, translations, answers,
or text that goes on.
Blank rows stay blank. No training data is needed, and no code in the run directory is run.

  run=DIR             the run directory; training prints it in its last line
  input=FILE          the new input: lines of text, a table with the same columns, token lines, a series, a folder of
                      series, questions as JSONL, a WAV file or a picture, or a folder of them
  output=FILE         where the answers go; a picture, where there is one worth looking at, lies beside it as .png
  checkpoint=NAME     which weights: best or last; by default those that training tested
  overwrite=false     true: an output that exists is replaced
  batch_size=64       rows at a time
  data.KEY=VALUE      how the new input is read, where that is another way than of the training data, e.g. data.encoding=latin-1
  plugins=[FILE,...]  plugin files that the run was trained with and that you trust
  --json              print what was done as JSON

Of a run that writes one sequence for another:

  beam=K              hypotheses that the search keeps, as in training by default
  num_best=K          write the K best, with tabs between them; into an output that ends in .jsonl with their scores
  attention=N         a picture of where the model looked in the first N rows, or of a transcription what it
                      emitted when, beside the output as .png

Of a language model each line of the input is a prompt, and the output is the same lines, continued:

  length=100          symbols to draw at most; a text also ends at a line break or where the model ends it
  temperature=0.8     below 1 the likely becomes likelier, above 1 all becomes more alike
  top_k=K, top_p=P    draw from the K likeliest symbols; from the fewest whose probabilities add up to P
  seed=0              the same seed writes the same text

seqlab predict run=DIR input=new.txt output=answers.txt
"""


def yes_or_no(text: str) -> bool:
    """true or false. Raises ValueError for anything else."""
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


FILES: dict[str, Callable[[str], Any]] = {"run": str, "input": str, "output": str, "checkpoint": str, "overwrite": yes_or_no, "plugins": files}
ROWS: dict[str, Callable[[str], Any]] = {"batch_size": int, "beam": int, "num_best": int, "attention": int}
TEXT: dict[str, Callable[[str], Any]] = {"length": int, "temperature": float, "top_k": int, "top_p": float, "seed": int}
READERS = {**FILES, **ROWS, **TEXT}


def main(argv: list[str]) -> int:
    """Entry point. Returns 0; errors are raised, ValueError for what the caller can mend."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(HELP, end="")
        return 0
    changes = [argument for argument in argv if argument.startswith("data.")]
    options = parse("predict", [argument for argument in argv if argument not in (*changes, "--json")], READERS)
    for name in ("input", "output"):
        if not options.get(name):
            raise ValueError(f"{name} is missing; expected a file. Give {name}=FILE.")
    from seqlab.predict import continue_text, predict  # torch is not needed for --help
    from seqlab.runs import read_spec, writes_text
    from seqlab.show import console

    directory = Path(options["run"]).expanduser()
    text = writes_text(directory)
    foreign = [name for name in options if name in (ROWS if text else TEXT)]
    if foreign:
        kind = "a language model" if text else f"no language model: it answers with {read_spec(directory).targets}"
        raise ValueError(f"{foreign[0]} is given, but run {directory} is {kind}. Leave {foreign[0]} out; `seqlab predict --help` says what is for which.")
    as_json = "--json" in argv
    done = (continue_text if text else predict)(**options, changes=changes, progress=not as_json)
    if as_json:
        picture = None if done.picture is None else str(done.picture)
        print(json.dumps({"answered": done.answered, "blank": done.blank, "output": str(done.output), "picture": picture}, indent=2))
        return 0
    blank = f", {done.blank} blank" if done.blank else ""
    rows = "row" if done.answered == 1 else "rows"
    console.print(f"{done.answered} {rows} answered{blank}: {done.output}", highlight=False, markup=False, soft_wrap=True)
    if done.picture is not None:
        console.print(f"picture: {done.picture}", highlight=False, markup=False, soft_wrap=True)
    return 0
