"""Checks of the number formats: float64, bfloat16, and autocast."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells.base import Cell
from seqlab.testing.executors import expect_carry_kept, split_executors
from seqlab.testing.observe import CellFactory, build, example, isolated, layer_of, observe, over, project_and_step, reached_state
from seqlab.testing.verdict import TOLERANCE, Nonconforming, expect_finite, expect_same

DTYPES = (torch.float64, torch.bfloat16)


@isolated
def check_dtypes(factory: CellFactory) -> str:
    """In float64 and bfloat16, y has the dtype of x and every leaf keeps its own; float64 is exact, bfloat16 near float32."""
    for training in (False, True):
        for dtype in DTYPES:
            cell = build(factory, training, dtype)
            state = reached_state(cell, 2)
            with torch.no_grad():
                y, new = project_and_step(cell, example(cell, 2, 1)[:, 0], state)
            advice = "Make new tensors like the ones at hand (x.new_zeros, torch.zeros_like) and cast to no fixed dtype."
            if y.dtype != dtype:
                raise Nonconforming(f"y of a step in {dtype} has dtype {y.dtype}; expected {dtype}. {advice}")
            for name, leaf in new.items():
                if leaf.dtype != state[name].dtype:
                    raise Nonconforming(f"state {name!r} of a step in {dtype} has dtype {leaf.dtype}; expected {state[name].dtype}, as it came. {advice}")
    _check_float64_is_exact(build(factory, dtype=torch.float64))
    wide, narrow = build(factory), build(factory, dtype=torch.bfloat16)
    x, state = example(wide, 2, 4), reached_state(wide, 2)
    narrow_state = {name: leaf.to(other) for (name, leaf), other in zip(state.items(), (v.dtype for v in narrow.initial_state(2).values()), strict=True)}
    expected = observe(over(layer_of(wide)), wide, x, state)
    found = observe(over(layer_of(narrow)), narrow, x.bfloat16(), narrow_state)
    expect_finite(found, "in bfloat16", "Keep exponents and quotients in range.")
    values = [name for name in expected if "gradient" not in name]
    advice = "Cancel in a wider dtype what bfloat16 cannot hold."
    expect_same(found, {name: expected[name] for name in values}, "in bfloat16", "near float32", advice, TOLERANCE[torch.bfloat16])
    return ""


def _check_float64_is_exact(cell: Cell) -> None:
    """A cast to float32 on the way rounds small changes of x away: the slopes over two step widths then disagree.

    They do in most entries of y; a kink (of relu, say) between the two widths moves a few.
    """
    x = example(cell, 2, 4)
    direction = example(cell, 2, 4, seed=9)

    def slope(width: float) -> Tensor:
        with torch.no_grad():
            ahead, back = (layer_of(cell)(x + sign * width * direction)[0] for sign in (1, -1))
        return (ahead - back) / (2 * width)

    narrow, wide = slope(1e-7), slope(1e-5)
    share = float(((narrow - wide).abs() > 1e-3 * wide.abs().max()).double().mean())
    if share > 0.5:
        raise Nonconforming(
            f"y in float64 answers to changes of x by 1e-7 otherwise than to changes by 1e-5 in {share:.0%} of its entries; expected the same slope. "
            "Cast to no narrower dtype on the way: no .float(), no dtype=torch.float32."
        )


@isolated
def check_autocast(factory: CellFactory) -> str:
    """Under autocast to bfloat16 the state keeps its dtype from call to call, and all gradients are finite."""
    for executor in ("loop", *split_executors(build(factory))[0]):
        expect_carry_kept(factory, executor)
    return ""
