"""`seqlab export`: the command line of seqlab.export. Standard library until the arguments are understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from seqlab.arguments import files, parse
from seqlab.predict_command import yes_or_no

HELP = """usage: seqlab export run=DIR format=FORMAT output=FILE [KEY=VALUE ...] [--json]

Write the model of a run into a file that runs without seqlab, and compare the file with the model.

  run=DIR             the run directory; training prints it in its last line
  format=FORMAT       onnx, torch_export or safetensors
  output=FILE         the file to write: model.onnx, model.pt2, model.safetensors
  checkpoint=NAME     which weights: best or last; by default those that training tested
  overwrite=false     true: an output that exists is replaced
  plugins=[FILE,...]  plugin files that the run was trained with and that you trust
  --json              print what was done as JSON

onnx and torch_export hold (inputs, state) -> (scores, state). The number of rows and of steps is free, and the loop over
time is one Scan, not T copies of a step. The state is the caller's: the file says what a sequence starts from, under the
key seqlab of its metadata (torch_export: seqlab.json), beside sizes, labels and vocabulary. No row is padded: feed rows
of unequal lengths one by one, or in parts with the state carried on. safetensors holds the weights alone.
onnx needs onnx and onnxscript, its comparison onnxruntime: pip install 'seqlab[export]'.

seqlab export run=DIR format=torch_export output=model.pt2
"""

READERS: dict[str, Callable[[str], Any]] = {"run": str, "format": str, "output": str, "checkpoint": str, "overwrite": yes_or_no, "plugins": files}


def main(argv: list[str]) -> int:
    """Entry point. Returns 0; errors are raised, ValueError for what the caller can mend."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(HELP, end="")
        return 0
    options = parse("export", [argument for argument in argv if argument != "--json"], READERS)
    for name, expected in (("format", "onnx, torch_export or safetensors"), ("output", "a file")):
        if not options.get(name):
            raise ValueError(f"{name} is missing; expected {expected}. Give {name}=….")
    from seqlab.export.formats import SHAPES, export  # torch is not needed for --help
    from seqlab.show import console

    done = export(**options)
    if "--json" in argv:
        print(json.dumps({"output": str(done.output), "difference": done.difference, "note": done.note}, indent=2))
        return 0
    console.print(f"written: {done.output}", highlight=False, markup=False, soft_wrap=True)
    if done.difference is not None and options["format"] != "safetensors":
        shapes = ", ".join(f"{batch} × {time}" for batch, time in SHAPES)
        console.print(f"differs from the model by at most {done.difference:.2g}, over rows × steps {shapes}", highlight=False, markup=False, soft_wrap=True)
    if done.note:
        console.print(f"note: {done.note}", highlight=False, markup=False, soft_wrap=True)
    return 0
