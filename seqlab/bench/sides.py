"""The sides of a comparison: each runs the same recurrence once, in its own way.

A side is named CELL:EXECUTOR (lstm:compiled), CELL:EXECUTOR:recompute (in segments that are run again, for less memory),
CELL:naive (the loop a user would write), nn.LSTM, nn.GRU or nn.RNN, floor:CELL (the matrix products alone), flax:CELL or
keras:CELL (see seqlab.bench.peers), and on a GPU, where nn.LSTM is cuDNN, haste:CELL or flashrnn:CELL (see gpu_peers).
Dimension key: T time, B batch, I input_size, H hidden_size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, make_cell
from seqlab.executors.loop import steps
from seqlab.layers import Layer
from seqlab.registry import unknown

MODES = ("training", "inference", "streaming")
KERNELS = {"nn.LSTM": nn.LSTM, "nn.GRU": nn.GRU, "nn.RNN": nn.RNN}
Call = Callable[[Tensor, Any], tuple[Tensor, Any]]  # (x (B, T, I), state) -> (y, state)


@dataclass(frozen=True)
class Size:
    """T, B, I, H of one comparison."""

    num_steps: int
    batch_size: int
    input_size: int
    hidden_size: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """ "512,16,64,64" -> Size. Raises ValueError for anything else."""
        parts = text.split(",")
        if len(parts) != 4 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
            raise ValueError(f"size is {text!r}; expected four whole numbers T,B,I,H, such as 512,16,64,64.")
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.num_steps},{self.batch_size},{self.input_size},{self.hidden_size}"


@dataclass
class Side:
    """A way to run a recurrence: `run` does it once. `note` says what ran, where the name does not."""

    name: str
    run: Callable[[], object]
    note: str = ""


def build_side(name: str, size: Size, mode: str, device: str = "cpu") -> Side:
    """The side of this name. Raises ValueError for an unknown name and for an executor that cannot run the cell."""
    torch.manual_seed(0)
    if name in KERNELS:
        module = KERNELS[name](size.input_size, size.hidden_size, batch_first=True).to(device)
        return _side(name, module, module, size, mode, device)
    first, _, second = name.partition(":")
    if not second:
        libraries = [f"{library}:CELL" for library in ("flax", "keras", "haste", "flashrnn")]
        raise ValueError(unknown("side", name, [*KERNELS, "CELL:EXECUTOR", "CELL:EXECUTOR:recompute", "CELL:naive", "floor:CELL", *libraries]))
    if first in ("flax", "keras"):
        from seqlab.bench.peers import peer_side

        return peer_side(first, second, size, mode)
    if first in ("haste", "flashrnn"):
        from seqlab.bench.gpu_peers import gpu_side

        return gpu_side(first, second, size, mode, device)
    cell = make_cell(second if first == "floor" else first, size.input_size, size.hidden_size).to(device)
    if first == "floor":
        return Side(name, _floor(cell, size, mode, device))
    if second == "naive":
        return _side(name, cell, lambda x, state: _naive(cell, x, state), size, mode, device)
    executor, _, option = second.partition(":")
    if option not in ("", "recompute"):
        raise ValueError(unknown("option of a side", option, ["recompute"]))
    layer = Layer(cell, executor, recompute=bool(option))
    return _side(name, layer, lambda x, state: layer(x, state=state), size, mode, device)


def _side(name: str, module: nn.Module, call: Call, size: Size, mode: str, device: str) -> Side:
    """training: forward, and backward from a fixed gradient of y; inference: forward without gradients; streaming: one
    step without gradients, the state carried from call to call."""
    num_steps = 1 if mode == "streaming" else size.num_steps
    x = torch.randn(size.batch_size, num_steps, size.input_size, device=device)
    module.train(mode == "training")
    gradients: list[Tensor] = []
    carried: list[Any] = [None]

    def train() -> None:
        module.zero_grad(set_to_none=True)
        y, _ = call(x, None)
        if not gradients:
            gradients.append(torch.randn(y.shape, device=device))
        y.backward(gradients[0])

    def infer() -> object:
        with torch.no_grad():
            return call(x, None)

    def stream() -> None:
        with torch.no_grad():
            carried[0] = call(x, carried[0])[1]

    return Side(name, {"training": train, "inference": infer, "streaming": stream}[mode])


def _naive(cell: Cell, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The whole step, projection included, for x[:, t], t = 0, 1, …."""
    state = cell.initial_state(x.shape[0]) if state is None else state
    outputs = []
    for t in range(x.shape[1]):
        p = cell.project(x[:, t : t + 1].transpose(0, 1))
        y, state = cell.step(next(iter(steps(p))), state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def _floor(cell: Cell, size: Size, mode: str, device: str) -> Callable[[], None]:
    """The matrix products the cell cannot do without, and nothing else.

    A parameter with two axes whose name begins with `input` is multiplied once for all steps, every other one at each
    step. Backward: each of the others once more per step, and the gradient of every one in a single product.
    """
    T, B = (1 if mode == "streaming" else size.num_steps), size.batch_size
    weights = {name: w.detach() for name, w in cell.named_parameters() if w.dim() == 2}
    hoisted = [w for name, w in weights.items() if name.startswith("input")]
    recurrent = [w for name, w in weights.items() if not name.startswith("input")]
    plans = [(torch.randn(T, B, w.shape[1], device=device), torch.randn(T, B, w.shape[0], device=device), w.T.contiguous(), w) for w in recurrent]
    small = [torch.empty(B, w.shape[1], device=device) for w in recurrent]
    flat = [(torch.randn(T * B, w.shape[1], device=device), torch.randn(T * B, w.shape[0], device=device), w.T.contiguous()) for w in hoisted]

    def run() -> None:
        for x, z, w in flat:
            torch.mm(x, w, out=z)
        for h, z, forward, _ in plans:
            for h_t, z_t in zip(h.unbind(0), z.unbind(0), strict=True):
                torch.mm(h_t, forward, out=z_t)
        if mode != "training":
            return
        for (h, z, _, backward), dh in zip(plans, small, strict=True):
            for z_t in z.unbind(0):
                torch.mm(z_t, backward, out=dh)
            torch.mm(z.flatten(0, 1).T, h.flatten(0, 1))
        for x, z, _ in flat:
            torch.mm(z.T, x)

    return run


def first_call(side: Side) -> float:
    """Seconds of the first run, compiling included."""
    started = time.perf_counter()
    side.run()
    synchronise()
    return time.perf_counter() - started


def synchronise() -> None:
    """Wait for the GPU, when there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
