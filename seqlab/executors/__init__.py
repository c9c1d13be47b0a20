"""Ways to run a cell over time, all proved equal to `loop`, and the one place that chooses between them.

Every executor is a function (cell, inputs: Sequence) -> (y (T, B, O), final state). Storage is time-major here and only
here. Dimension key: T time, B batch, I input_size, O output_size.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seqlab.cells.base import Cell, NativeCell, State
from seqlab.executors.automatic import Call, Choice, Obstacles, automatic
from seqlab.executors.loop import loop
from seqlab.executors.native import native, why_not_native
from seqlab.executors.scan import scan, why_not_scan
from seqlab.executors.segments import in_segments
from seqlab.executors.sequence import CannotCompile, Sequence, call_weights, lengths_to_mask, with_weights
from seqlab.executors.toolchain import compiler, has_triton
from seqlab.registry import unknown

__all__ = ["EXECUTORS", "Call", "CannotCompile", "Choice", "Sequence", "choice_in_training", "choose", "lengths_to_mask", "run"]


def _compiled(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    from seqlab.executors.compiled import compiled  # Inductor takes two seconds to import: only who runs it pays

    return compiled(cell, inputs)


EXECUTORS: dict[str, Callable[[Cell, Sequence], tuple[Tensor, State]]] = {"loop": loop, "native": native, "compiled": _compiled, "scan": scan}
_log = logging.getLogger("seqlab")
_said: set[str] = set()
_refused: WeakKeyDictionary[Cell, str] = WeakKeyDictionary()  # cells that "auto" found impossible to compile, and why
_trained: WeakKeyDictionary[Cell, dict[str, Counter[Choice]]] = WeakKeyDictionary()  # by what was requested: what ran a cell with gradients, how often


def choose(cell: Cell, requested: str = "auto", call: Call | None = None) -> Choice:
    """The executor for a cell. `requested` is "auto" or the name of one; without a `call`, for training on long sequences.

    Raises ValueError for an unknown name, and for an executor that this cell cannot run on, with what prevents it.
    """
    if requested not in ("auto", *EXECUTORS):
        raise ValueError(unknown("executor", requested, ["auto", *EXECUTORS]))
    call = call or Call()
    if requested != "auto":
        obstacle = _obstacle(cell, requested, call)
        if obstacle:
            raise ValueError(f"executor={requested!r} cannot run {describe(cell)}: {obstacle}. Use executor='auto' or 'loop'.")
        return Choice(requested, f"executor={requested!r} was asked for")
    return automatic(call, _obstacles(cell, call))


def _obstacle(cell: Cell, executor: str, call: Call) -> str:
    if executor == "native":
        return "torch.nn's kernels keep all steps, so recompute=True saves nothing" if call.recompute else why_not_native(cell)
    if executor == "scan":
        return why_not_scan(cell)
    if executor == "compiled":
        return why_not_compiled(call)
    return ""


def _obstacles(cell: Cell, call: Call) -> Obstacles:
    kernel = cell.native_weights() if isinstance(cell, NativeCell) else ""
    return Obstacles(
        native=_obstacle(cell, "native", call),
        scan=why_not_scan(cell),
        compiled=_refused.get(cell) or why_not_compiled(call),
        kernel="" if isinstance(kernel, str) else kernel.kind,
        width=cell.output_size,
    )


def why_not_compiled(call: Call) -> str:
    """What in the machine or the call prevents compiling, or an empty string."""
    if call.device not in ("cpu", "cuda"):
        return f"the compiled executor is for the CPU and CUDA devices, and x is on {call.device!r}"
    if call.transformed:
        return "the call is inside torch.func or torch.compile, which cannot look into compiled code"
    if not compiler():
        return "no C++ compiler was found on this machine"
    return "Triton, which writes its kernels for a GPU, is not installed" if call.device == "cuda" and not has_triton() else ""


def run(cell: Cell, inputs: Sequence, requested: str = "auto", recompute: bool = False) -> tuple[Tensor, State]:
    """Run the cell over time on the executor that `choose` names, with the cell's `weights()` in place.

    recompute: in segments of time that are run again for their gradients, for less memory (see `segments`).
    """
    transformed = torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
    call = Call(inputs.x.shape[0], torch.is_grad_enabled(), inputs.x.device.type, recompute, transformed, inputs.x.shape[1])
    choice = choose(cell, requested, call)
    weights = call_weights(cell)
    try:
        result = _execute(cell, choice, inputs, weights, recompute)
    except CannotCompile as obstacle:
        if requested != "auto":
            raise CannotCompile(f"executor='compiled' cannot run {describe(cell)}: {obstacle} Use executor='auto' or 'loop'.") from obstacle
        _refused[cell] = str(obstacle)
        choice = choose(cell, requested, call)
        result = _execute(cell, choice, inputs, weights, recompute)
    if not torch.compiler.is_compiling():  # a log line would break the graph of torch.compile
        if call.gradient:
            _trained.setdefault(cell, {}).setdefault(requested, Counter())[choice] += 1
        say(f"{describe(cell)} runs on executor {choice.executor!r}: {choice.reason}")
    return result


def choice_in_training(cell: Cell, requested: str) -> Choice | None:
    """What ran the cell in most of its calls with gradients in which `requested` was; None before there was one.

    Most, for the last chunk of a stream may be so short that another executor runs it.
    """
    counts = _trained.get(cell, {}).get(requested)
    return counts.most_common(1)[0][0] if counts else None


def _execute(cell: Cell, choice: Choice, inputs: Sequence, weights: State, recompute: bool) -> tuple[Tensor, State]:
    execute = EXECUTORS[choice.executor]
    if not recompute:
        return with_weights(cell, execute, inputs, weights)
    return in_segments(lambda part: with_weights(cell, execute, part, weights), inputs._replace(masks=inputs.drawn(cell)))


def say(line: str) -> None:
    """Log a line once in this process."""
    if line not in _said:
        _said.add(line)
        _log.info(line)


def describe(cell: Cell) -> str:
    """The cell's class, with the cells it holds: Zoneout(LSTM)."""
    inner = getattr(cell, "cell", None)
    return f"{type(cell).__name__}({describe(inner)})" if isinstance(inner, Cell) else type(cell).__name__
