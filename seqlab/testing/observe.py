"""What the checks look at: a cell built from its factory, run over a small example, with everything that can be compared.

Dimension key: B batch, T time, I input_size, O output_size.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import numpy
import torch
from torch import Tensor

from seqlab.cells.base import Cell, State
from seqlab.layers import Layer, SequenceModule

CellFactory = Callable[[], Cell]
Check = Callable[[CellFactory], str]  # returns what the check left out and why, or an empty string
Run = Callable[[Tensor, State | None], tuple[Tensor, State]]


def isolated(check: Check) -> Check:
    """The check with gradients on, a fixed seed, and the caller's random numbers untouched."""

    @functools.wraps(check)
    def run(factory: CellFactory) -> str:
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
        with torch.random.fork_rng(devices=devices), torch.inference_mode(False), torch.enable_grad():
            torch.manual_seed(0)
            return check(factory)

    return run


def build(factory: CellFactory, training: bool = False, dtype: torch.dtype | None = None, seed: int = 0) -> Cell:
    """A new cell, initialised from the seed, in the mode and dtype asked for."""
    torch.manual_seed(seed)
    cell = factory()
    if not isinstance(cell, Cell):
        raise TypeError(f"the factory returned a {type(cell).__name__}; expected a seqlab.Cell. Give e.g. lambda: make_cell('lstm', 3, 4).")
    return cell.train(training).to(dtype)


def example(cell: Cell, batch_size: int, num_steps: int, seed: int = 1) -> Tensor:
    """x (B, T, I), normal, in the cell's dtype and on its device. Independent of the global generator."""
    like = next((p for p in (*cell.parameters(), *cell.buffers()) if p.is_floating_point()), torch.empty(0))
    x = torch.randn(batch_size, num_steps, cell.input_size, generator=torch.Generator().manual_seed(seed))
    return x.to(like)


def layer_of(cell: Cell) -> Layer:
    """The cell over time on the reference executor, so that a failure is the cell's."""
    return Layer(cell, executor="loop")


def over(layer: SequenceModule, lengths: Tensor | None = None) -> Run:
    """The layer as a function of x and the state alone."""
    return lambda x, state: layer(x, lengths, state)


def reached_state(cell: Cell, batch_size: int) -> State:
    """A state that three steps lead to: not zero, different in every row, and one that the cell can be in."""
    torch.manual_seed(2)
    with torch.no_grad():
        _, state = layer_of(cell)(example(cell, batch_size, 3, seed=2))
    return {name: leaf.clone() for name, leaf in state.items()}


def project_and_step(cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State]:
    """One step on x (B, I), with the masks of one call."""
    masks = cell.draw_masks(x.shape[0])
    return cell.step(cell.project(x), {**state, **masks})


def observe(run: Run, cell: Cell, x: Tensor, state: State | None = None, seed: int = 3) -> dict[str, Tensor]:
    """Outputs, final state, and the gradients of x, of the initial state and of every parameter, by name.

    The loss weighs every output and every final leaf differently, and all rows alike. Noise comes from the seed.
    """
    x = x.detach().clone().requires_grad_()
    if state is not None:
        state = {name: leaf.detach().clone().requires_grad_(leaf.is_floating_point()) for name, leaf in state.items()}
    torch.manual_seed(seed)
    y, final = run(x, state)
    found = {"output": y.detach(), **{f"final state {name!r}": leaf.detach() for name, leaf in final.items()}}
    return {**found, **gradients(weigh(y, final), leaves(cell, x, state))}


def leaves(cell: Cell, x: Tensor, state: State | None) -> dict[str, Tensor]:
    """Everything a gradient may be asked of: {"x": …, "initial state 'h'": …, "parameter 'bias'": …}."""
    initial = {f"initial state {name!r}": leaf for name, leaf in (state or {}).items() if leaf.is_floating_point()}
    return {"x": x, **initial, **{f"parameter {name!r}": p for name, p in cell.named_parameters() if p.requires_grad}}


def gradients(loss: Tensor, wanted: dict[str, Tensor], create_graph: bool = False) -> dict[str, Tensor]:
    """{"gradient of x": …}; zeros where the loss does not depend on a tensor."""
    if not loss.requires_grad:
        return {f"gradient of {name}": torch.zeros_like(leaf) for name, leaf in wanted.items()}
    found = torch.autograd.grad(loss, list(wanted.values()), create_graph=create_graph, allow_unused=True)
    return {f"gradient of {name}": torch.zeros_like(leaf) if g is None else g for (name, leaf), g in zip(wanted.items(), found, strict=True)}


def weigh(y: Tensor, final: State) -> Tensor:
    """A scalar in which every step and unit of y and every unit of the final state has a weight of its own."""
    return sum((_weighted(leaf) for leaf in final.values() if leaf.is_floating_point()), _weighted(y))


def _weighted(value: Tensor) -> Tensor:
    per_row = value[0].numel()
    weights = torch.sin(1.0 + torch.arange(per_row, dtype=torch.float64)).to(value)
    return (value.reshape(-1, per_row) * weights).sum()


def take_rows(found: dict[str, Tensor], rows: list[int]) -> dict[str, Tensor]:
    """Those rows of all that has rows; gradients of parameters, which sum over rows, are left out."""
    return {name: value[rows] for name, value in found.items() if "parameter" not in name}


def comparable_modes(factory: CellFactory) -> tuple[tuple[bool, ...], str]:
    """The values of `training` under which calls of different shapes can be compared, and what to say of the rest.

    A cell that draws random numbers in training gets other noise with every other shape, so that only evaluation is left.
    """
    cell = build(factory, training=True)
    before = random_states()
    with torch.no_grad():
        layer_of(cell)(example(cell, 2, 2))
    noisy = random_states() != before
    return ((False,), "in evaluation only: the cell draws random numbers in training") if noisy else ((False, True), "")


def random_states() -> tuple[object, ...]:
    """The states of all generators that a cell could draw from: torch, the GPU, NumPy, Python."""
    gpu = torch.cuda.get_rng_state().numpy().tobytes() if torch.cuda.is_available() and torch.cuda.is_initialized() else b""
    return torch.get_rng_state().numpy().tobytes(), gpu, repr(numpy.random.get_state()), random.getstate()
