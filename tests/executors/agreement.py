"""One call of a layer seen from outside: outputs, final state, and the gradients of everything that has one."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab import Cell, Layer

# Ten rounding errors of the type for each of a hundred steps; sums run in another order than in the loop.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-4}


def observe(cell: Cell, executor: str, x: Tensor, lengths: Tensor | None = None, recompute: bool = False) -> dict[str, Tensor | None]:
    """{what: tensor}: y, final leaves, gradients of x, of the initial state and of every parameter."""
    torch.manual_seed(1)
    state = {name: torch.randn_like(leaf).requires_grad_() if leaf.is_floating_point() else leaf for name, leaf in cell.initial_state(x.shape[0]).items()}
    x = x.detach().requires_grad_()
    y, final = Layer(cell, executor, recompute=recompute)(x, lengths, dict(state))
    torch.manual_seed(2)
    outputs = {"y": y, **{f"final {name}": leaf for name, leaf in final.items()}}
    loss = sum((value * torch.randn(value.shape, dtype=value.dtype)).sum() for value in outputs.values() if value.is_floating_point())
    wanted = {"x": x, **{f"state {n}": s for n, s in state.items() if s.requires_grad}, **dict(cell.named_parameters())}
    gradients = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)  # type: ignore[arg-type]
    return {**{name: value.detach() for name, value in outputs.items()}, **{f"d {name}": g for name, g in zip(wanted, gradients, strict=True)}}


def expect_agreement(cell: Cell, executor: str, num_steps: int, batch_size: int, padded: bool = False, recompute: bool = False) -> None:
    """The executor gives what `loop` gives."""
    dtype = next(cell.parameters()).dtype
    torch.manual_seed(3)
    x = torch.randn(batch_size, num_steps, cell.input_size, dtype=dtype)
    lengths = torch.randint(1, num_steps + 1, (batch_size,)) if padded else None
    expected, found = observe(cell, "loop", x, lengths), observe(cell, executor, x, lengths, recompute)
    for name, value in expected.items():
        other = found[name]
        assert (value is None) == (other is None), f"{name} is {value} in loop and {other} in {executor}"
        if value is not None and other is not None:
            scale = max(1.0, value.abs().max().item())
            torch.testing.assert_close(other, value, atol=TOLERANCE[dtype] * scale, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
