"""Ways to run a cell over time, all proved equal to `loop`, and the one place that chooses between them.

Every executor is a function (cell, inputs: Sequence) -> (y (T, B, O), final state). Storage is time-major here and only
here. Dimension key: T time, B batch, I input_size, O output_size.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd import forward_ad

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
MAX_KNOWN = 1024  # kinds of calls whose choice is kept for a cell; streams and ragged batches have a few hundred
_refused: WeakKeyDictionary[Cell, str] = WeakKeyDictionary()  # cells that "auto" found impossible to compile, and why


@dataclass
class _History:
    """Of a cell and of what was requested for it: the choice for each kind of call, the choices that the log has been told,
    and what ran with gradients, how often."""

    chosen: dict[Call, Choice] = field(default_factory=dict)
    said: set[Choice] = field(default_factory=set)
    trained: Counter[Choice] = field(default_factory=Counter)


_histories: WeakKeyDictionary[Cell, dict[str, _History]] = WeakKeyDictionary()


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
    no_rules = "the call is inside torch.func, which has no rules for the kernels" if call.transformed and not torch.compiler.is_compiling() else ""
    return Obstacles(
        native=_obstacle(cell, "native", call) or no_rules,
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
    compiling = torch.compiler.is_compiling()
    transformed = compiling or torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0  # type: ignore[attr-defined]
    steps, batch = inputs.x.shape[:2]
    call = Call(steps, torch.is_grad_enabled(), inputs.x.device.type, recompute, transformed, batch, 0 if compiling else torch.get_num_threads())
    if compiling:  # a history or a log line would break the graph of torch.compile
        return _execute(cell, choose(cell, requested, call), inputs, call_weights(cell), recompute)
    history = _history(cell, requested)
    choice = _known_choice(cell, requested, call, history)
    weights = call_weights(cell)
    drawn = torch.get_rng_state() if choice.executor == "compiled" and choice not in history.said else None
    try:
        result = _execute(cell, choice, inputs, weights, recompute)
    except CannotCompile as obstacle:
        if requested != "auto":
            raise CannotCompile(f"executor='compiled' cannot run {describe(cell)}: {obstacle} Use executor='auto' or 'loop'.") from obstacle
        if drawn is not None:  # else the noise of this call would depend on whether its process has tried to compile before
            torch.set_rng_state(drawn)
        _refused[cell] = str(obstacle)
        history.chosen.clear()
        choice = _known_choice(cell, requested, call, history)
        try:
            result = _execute(cell, choice, inputs, weights, recompute)
        except Exception:  # the call is wrong, not the cell
            del _refused[cell]
            history.chosen.clear()
            raise
    if call.gradient:
        history.trained[choice] += 1
    if choice not in history.said:
        history.said.add(choice)
        _log.info("%s runs on executor %r: %s", describe(cell), choice.executor, choice.reason)
    return result


def _history(cell: Cell, requested: str) -> _History:
    by_request = _histories.setdefault(cell, {})
    return by_request[requested] if requested in by_request else by_request.setdefault(requested, _History())


def _known_choice(cell: Cell, requested: str, call: Call, history: _History) -> Choice:
    """What `choose` says, asked once for each kind of call: for a single step, asking takes a fifth of the time.

    A kernel is asked for again each time, for an option of the cell may have been set to what it does not have.
    """
    choice = history.chosen.get(call)
    if choice is None or (choice.executor == "native" and why_not_native(cell)):
        if len(history.chosen) >= MAX_KNOWN:
            history.chosen.clear()
        choice = history.chosen[call] = choose(cell, requested, call)
    return choice


def choice_in_training(cell: Cell, requested: str) -> Choice | None:
    """What ran the cell in most of its calls with gradients in which `requested` was; None before there was one.

    Most, for the last chunk of a stream may be so short that another executor runs it.
    """
    trained = _history(cell, requested).trained
    return trained.most_common(1)[0][0] if trained else None


def _execute(cell: Cell, choice: Choice, inputs: Sequence, weights: State, recompute: bool) -> tuple[Tensor, State]:
    execute = EXECUTORS[choice.executor]
    if not recompute:
        return with_weights(cell, execute, inputs, weights)
    return in_segments(lambda part: with_weights(cell, execute, part, weights), inputs._replace(masks=inputs.drawn(cell)))


def describe(cell: Cell) -> str:
    """The cell's class, with the cells it holds: Zoneout(LSTM)."""
    inner = getattr(cell, "cell", None)
    return f"{type(cell).__name__}({describe(inner)})" if isinstance(inner, Cell) else type(cell).__name__
