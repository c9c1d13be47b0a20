"""Writing a run's model in each format, and reading it back to compare it with the model."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import seqlab
from seqlab import run_directory
from seqlab.cells.base import State
from seqlab.data.base import DataSpec
from seqlab.data.vocabulary import VOCABULARY
from seqlab.export.graph import Whole
from seqlab.heads import CRFHead
from seqlab.model import SequenceModel
from seqlab.registry import unknown
from seqlab.runs import load_run
from seqlab.seq2seq import Decoder

ABOUT = "seqlab"  # the key under which each format keeps what the file says of itself
ABOUT_FILE = "seqlab.json"  # the same, in the archive of torch.export
SHAPES = ((1, 1), (3, 2), (2, 17), (4, 33))  # (B, T) that are compared: none of them is the one that was traced
TRACED = (3, 5)
INSTALL = "Install them with pip install 'seqlab[export]'."

Run = Callable[[Tensor, State], tuple[Tensor, State]]


@dataclass(frozen=True)
class Exported:
    """The file; the largest difference from the model over SHAPES, of scores and states, None where nothing could compare; and a note."""

    output: Path
    difference: float | None
    note: str = ""


def export(run: str | Path, format: str, output: str | Path, checkpoint: str | None = None, overwrite: bool = False, plugins: Sequence[str] = ()) -> Exported:
    """Write the model of a run as "onnx", "torch_export" or "safetensors", and compare what was written with the model.

    onnx, torch_export: (inputs, state) -> (scores, state), with any number of rows and of steps, none padded; the state that
    a sequence starts from stands in the file. safetensors: the weights alone, for programs that have the equations.
    The output is written whole or not at all. Raises ValueError as `load_run` does, for an unknown format, a file that
    exists, packages that are missing, a model that no graph can hold, and a graph that differs from the model.
    """
    if format not in FORMATS:
        raise ValueError(unknown("format", format, list(FORMATS)))
    target = Path(output).expanduser()
    if target.is_dir() or not target.parent.is_dir():
        wrong = "is a folder" if target.is_dir() else f"lies in {target.parent}, which is no folder"
        raise ValueError(f"the output {target} {wrong}; expected a file. Give another output=FILE.")
    if target.exists() and not overwrite:
        raise ValueError(f"the output {target} exists already. Give another output=FILE, or overwrite=true.")
    directory = Path(run).expanduser()
    loaded = load_run(directory, checkpoint, plugins)
    model, spec = loaded.task.model, loaded.spec
    about = json.dumps(describe(directory, model, spec), ensure_ascii=False)
    found: list[tuple[float | None, str]] = []
    run_directory.replace(target, lambda partial: found.append(FORMATS[format](model, spec, about, partial)))
    return Exported(target, *found[0])


def describe(directory: Path, model: SequenceModel, spec: DataSpec) -> dict[str, Any]:
    """What one has to know to use the file: sizes, names, symbols, and the state that a sequence starts from."""
    start = model.encoder.initial_state(1)
    vocabulary = directory / VOCABULARY
    return {
        "seqlab": seqlab.__version__,
        "spec": json.loads(spec.to_json()),
        "state": {name: {"dtype": str(leaf.dtype).removeprefix("torch."), "initial": leaf[0].tolist()} for name, leaf in start.items()},
        "head": type(model.head).__name__,
        **({"vocabulary": json.loads(vocabulary.read_text(encoding="utf-8"))} if vocabulary.is_file() else {}),
    }


def to_torch_export(model: SequenceModel, spec: DataSpec, about: str, path: Path) -> tuple[float, str]:
    """A .pt2 archive: torch.export.load(FILE).module()(inputs, state)."""
    program = trace(model, spec)
    with open(path, "wb") as file:  # a name that does not end in .pt2, as that of a partial file, is warned about
        torch.export.save(program, file, extra_files={ABOUT_FILE: about})
    with open(path, "rb") as file:
        read = torch.export.load(file).module()
    return compare(model, spec, read), note_of(model)


def to_onnx(model: SequenceModel, spec: DataSpec, about: str, path: Path) -> tuple[float | None, str]:
    """An ONNX model: inputs "inputs" and "state.LEAF", outputs "scores" and "next_state.LEAF"."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"format=onnx needs {' and '.join(missing)}, which this Python has not. {INSTALL}")
    program = trace(model, spec)
    leaves = list(model.encoder.initial_state(1))
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter tells of every package that it could translate and that is not there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program,
                dynamo=True,
                input_names=["inputs", *(f"state.{leaf}" for leaf in leaves)],
                output_names=["scores", *(f"next_state.{leaf}" for leaf in leaves)],
                verbose=False,
            )
    except RuntimeError as error:  # the base of torch.onnx's own errors
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ValueError(f"torch.onnx cannot translate this model: {cause} Use format=torch_export.") from error
    finally:
        logging.disable(before)
    assert made is not None
    made.model.metadata_props[ABOUT] = about
    made.save(str(path))
    if importlib.util.find_spec("onnxruntime") is None:
        return None, " ".join(["onnxruntime is not installed, so nothing ran the file.", INSTALL, note_of(model)]).strip()
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def read(inputs: Tensor, state: State) -> tuple[Tensor, State]:
        fed = {"inputs": inputs.numpy(), **{f"state.{leaf}": value.numpy() for leaf, value in state.items()}}
        names = ["scores", *(f"next_state.{leaf}" for leaf in state)]
        scores, *final = (torch.from_numpy(value) for value in session.run(names, fed))
        return scores, dict(zip(state, final, strict=True))

    return compare(model, spec, read), note_of(model)


def to_safetensors(model: SequenceModel, spec: DataSpec, about: str, path: Path) -> tuple[float, str]:
    """The weights by their names in the model; those that are tied stand there twice."""
    if importlib.util.find_spec("safetensors") is None:
        raise ValueError(f"format=safetensors needs safetensors, which this Python has not. {INSTALL}")
    from safetensors.torch import load_file, save_file  # pyright: ignore[reportMissingImports]

    weights = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, path, metadata={"format": "pt", ABOUT: about})
    read = load_file(path)
    if read.keys() != weights.keys() or any(not value.equal(weights[name]) for name, value in read.items()):
        raise ValueError(f"{path} holds other weights than the model after it was written. Is the disk sound?")
    return 0.0, "these are weights alone; the equations and the state are the program's that reads them."


FORMATS: dict[str, Callable[[SequenceModel, DataSpec, str, Path], tuple[float | None, str]]] = {
    "onnx": to_onnx,
    "torch_export": to_torch_export,
    "safetensors": to_safetensors,
}


def note_of(model: SequenceModel) -> str:
    """What the scores of the file are, where that is not the model's whole answer."""
    return "the scores are the CRF's emissions; the search for the best tags is not in the graph." if isinstance(model.head, CRFHead) else ""


def trace(model: SequenceModel, spec: DataSpec) -> torch.export.ExportedProgram:
    """The model as a graph in which batch, time and of sentences the words are free. Raises ValueError for a model that has none."""
    if spec.inputs == "words":
        raise ValueError(
            "the model reads words with their spelling, whose number of characters decides what is computed; no graph holds that. Use format=safetensors."
        )
    if spec.inputs == "audio":
        raise ValueError("the model reads sound through a short-time Fourier transform, of which no graph is made. Use format=safetensors.")
    if isinstance(model.head, Decoder):
        raise ValueError("the model writes a sequence from another by a search, which no graph of one call holds. Use format=safetensors.")
    from torch._dynamo.exc import UserError

    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    inputs, state = example(model, spec, *TRACED)
    words = {2: torch.export.Dim("words")} if spec.inputs == "sentences" else {}
    free = ({0: batch, 1: time, **words}, {name: {0: batch} for name in state})
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(Whole(model), (inputs, state), dynamic_shapes=free, strict=False)
    except (RuntimeError, AssertionError, UserError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"torch.export finds no graph of this model with free batch and time: {reason} Use format=safetensors.") from error


def example(model: SequenceModel, spec: DataSpec, batch: int, time: int) -> tuple[Tensor, State]:
    """Inputs (B, T, …) and a state that are unlike any other, the same in every call."""
    generator = torch.Generator().manual_seed(1000 * batch + time)
    dtype = next(model.parameters()).dtype
    shape = (batch, time, batch + 4) if spec.inputs == "sentences" else (batch, time)
    ids = torch.randint(spec.input_size, shape, generator=generator)
    inputs = torch.randn(*shape, spec.input_size, generator=generator).to(dtype) if spec.inputs == "features" else ids
    start = model.encoder.initial_state(batch)
    noise = {name: 0.1 * torch.randn(leaf.shape, generator=generator) for name, leaf in start.items()}
    return inputs, {name: (leaf + noise[name].to(leaf.dtype) if leaf.is_floating_point() else leaf).detach().clone() for name, leaf in start.items()}


def compare(model: SequenceModel, spec: DataSpec, read: Run) -> float:
    """The largest difference of scores and states over SHAPES. Raises ValueError when it is more than rounding."""
    largest = 0.0
    for batch, time in SHAPES:
        inputs, state = example(model, spec, batch, time)
        with torch.no_grad():
            scores, final = model(inputs, None, state)
            got, got_final = read(inputs, state)
        pairs = [(scores, got), *((final[name], got_final[name]) for name in final)]
        for expected, value in pairs:
            if value.shape != expected.shape:
                raise ValueError(f"the graph gives the shape {tuple(value.shape)} for {batch} rows of {time} steps; expected {tuple(expected.shape)}.")
            difference = float((value - expected).abs().max())
            # float32 sums in another order, over up to 33 steps that feed on one another
            if not difference <= 1e-4 * max(1.0, float(expected.abs().max())):
                raise ValueError(
                    f"the graph differs from the model by {difference:.3g} for {batch} rows of {time} steps; expected rounding. Use format=safetensors."
                )
            largest = max(largest, difference)
    return largest
