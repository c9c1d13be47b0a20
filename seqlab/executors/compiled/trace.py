"""One joint trace of a step: its forward, and the gradient of everything that wants one, as a single graph.

The step runs once on fake tensors under autograd. The batch size is a symbol, so the graph holds for every batch. The
trace must be joint: differentiating a forward that was traced first would lose, in silence, the backward of custom
autograd Functions, `no_grad` blocks and operations that were decomposed on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._dynamo.source import ConstantSource
from torch._inductor.decomposition import select_decomp_table
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch._subclasses.functional_tensor import dispatch_functionalize
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, GuardOnDataDependentSymNode, ShapeEnv, StatelessSymbolicContext

from seqlab.executors.compiled.purity import as_it_was, refuse_impure, refuse_unsupported, writes
from seqlab.executors.compiled.request import Request
from seqlab.executors.loop import check_step
from seqlab.executors.sequence import CannotCompile, expand_mask

HINT = 16  # the batch size that heuristics see; never 1, which a trace would take for a constant

Place = tuple[str, int]  # where a value lives at run time: ("p", 0), ("leaf", 1), ("mask", 0), ("constant", 2), …


@dataclass
class Joint:
    """The joint graph and the roles of its nodes.

    places: placeholder -> Place, of kinds batch, p, weight, leaf, mask, dy (tangent of y) and dleaf (tangent of a leaf).
    y, new: the outputs; `new[i]` is None where leaf i stays as it came: it is constant over the sequence.
    dp, dweights, dleaves: the gradients, None where nothing is wanted or nothing flows.
    """

    module: fx.GraphModule
    fake_mode: FakeTensorMode
    batch: torch.SymInt
    places: dict[fx.Node, Place]
    y: fx.Node
    new: list[fx.Node | None]
    dp: list[fx.Node | None]
    dweights: list[fx.Node | None]
    dleaves: list[fx.Node | None]

    @property
    def trains(self) -> bool:
        return any(node is not None for node in (*self.dp, *self.dweights, *self.dleaves))


class _Step(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, p: Any, state: dict[str, Tensor]) -> Any:
        return self.cell.step(p, state)  # type: ignore[operator]


def trace(request: Request) -> Joint:
    """The joint graph of one step of the request's cell. Raises CannotCompile with what in the cell prevents it."""
    env = ShapeEnv()
    mode = FakeTensorMode(shape_env=env, allow_non_fake_inputs=True)
    dynamic = StatelessSymbolicContext(dynamic_sizes=[DimDynamic.DYNAMIC])
    batch = mode.from_tensor(torch.empty(HINT), symbolic_context=dynamic, source=ConstantSource("batch")).shape[0]
    assert isinstance(batch, torch.SymInt)

    def batched(tensor: Tensor, axes: int) -> Tensor:
        return torch.empty((batch, *tensor.shape[axes:]), dtype=tensor.dtype, device=tensor.device)

    with mode:
        inputs = [batched(part, 2) for part in request.p]
        inputs += [torch.empty_strided(w.shape, w.stride(), dtype=w.dtype, device=w.device) for w in request.weights.values()]
        inputs += [batched(leaf, 1) for leaf in request.leaves.values()]
        inputs += [batched(request.mask, 2)] if request.mask is not None else []
    places: list[Place] = [("batch", 0), *(("p", i) for i in range(len(request.p))), *(("weight", i) for i in range(len(request.weights)))]
    places += [("leaf", i) for i in range(len(request.leaves))] + ([("mask", 0)] if request.mask is not None else [])

    step = _flat_step(request)
    autocast = _autocast(request)  # as the call has it: the trace itself runs with autocast off
    with _as_called(request, mode), as_it_was(request.cell):
        y, new = step(inputs, check=True)
    if any(given._version for given in inputs):
        raise CannotCompile(f"step of {type(request.cell).__name__} writes to one of its arguments; expected a pure function. Make a new tensor instead.")
    leaves = inputs[len(request.p) + len(request.weights) :][: len(new)]
    held = [after is before for after, before in zip(new, leaves, strict=True)]
    wanted = _wanted(request, held)
    with mode:
        tangents = [torch.empty(out.shape, dtype=out.dtype, device=out.device) for out in [y, *new] if out.is_floating_point()]
    places += [place for place, out in zip([("dy", 0), *(("dleaf", i) for i in range(len(new)))], [y, *new], strict=True) if out.is_floating_point()]

    def joint(_: torch.SymInt, *flat: Tensor) -> list[Tensor | None]:
        primals = [t.detach().requires_grad_() if want else t.detach() for t, want in zip(flat, wanted, strict=False)]
        with autocast(), torch.enable_grad():
            y, new = step(primals)
        outputs = [y, *new]
        into = [primal for primal, want in zip(primals, wanted, strict=True) if want]
        floating = [out for out in outputs if out.is_floating_point()]
        seeds = [(out, tangent) for out, tangent in zip(floating, flat[len(primals) :], strict=True) if out.requires_grad]
        found = torch.autograd.grad([o for o, _ in seeds], into, [t for _, t in seeds], allow_unused=True) if seeds and into else [None] * len(into)
        rest = iter(found)
        gradients = [next(rest) if want else None for want in wanted]
        return [out.detach() for out in outputs] + gradients

    module = _make_graph(joint, [batch, *inputs, *tangents], mode)
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    if batch.node.maybe_as_int() is not None:
        raise CannotCompile(f"step of {type(request.cell).__name__} needs one fixed batch size; expected rows to be independent.")
    results = list(module.graph.output_node().args[0])  # type: ignore[arg-type]
    n, k, w = len(request.p), len(request.weights), len(request.leaves)
    gradients = results[1 + w :]
    dleaves = gradients[n + k : n + k + w]
    return Joint(
        module=module,
        fake_mode=mode,
        batch=batch,
        places=dict(zip(placeholders, places, strict=True)),
        y=results[0],
        new=[None if same else node for node, same in zip(results[1 : 1 + w], held, strict=True)],
        dp=gradients[:n],
        dweights=gradients[n : n + k],
        dleaves=[_zeros(module, placeholders[1 + n + k + i]) if node is None and wanted[n + k + i] else node for i, node in enumerate(dleaves)],
    )


def _flat_step(request: Request) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    """The step as a function of a flat list; it also casts the carry back, holds padded rows and blanks their output."""
    module = _Step(request.cell)
    names = [f"cell.{name}" for name in request.weights]
    state_names, leaf_names = list(request.state), list(request.leaves)

    def step(flat: list[Tensor], check: bool = False) -> tuple[Tensor, list[Tensor]]:
        parts, rest = flat[: len(request.p)], flat[len(request.p) :]
        weights, rest = rest[: len(names)], rest[len(names) :]
        leaves, mask = dict(zip(leaf_names, rest, strict=False)), rest[-1]
        p = tuple(parts) if request.tuple_p else parts[0]
        given = dict(zip(names, weights, strict=True))
        y, new = functional_call(module, given, (p, dict(leaves)))
        if check:
            for name, weight in zip(request.weights, weights, strict=True):
                if given[f"cell.{name}"] is not weight:  # functional_call writes what stands there afterwards
                    raise CannotCompile(f"step of {type(request.cell).__name__} replaces {name!r}; expected a pure function. Make it a state leaf.")
            check_step(request.cell, y, new, {name: leaves[name] for name in state_names})
        carried = []
        for name in leaf_names:  # drawn masks are not returned: they stay as they came
            old = leaves[name]
            leaf = new.get(name, old)
            if leaf is not old:
                leaf = leaf.to(old.dtype)
                leaf = leaf if request.mask is None else torch.where(expand_mask(mask, leaf), leaf, old)
            carried.append(leaf)
        return y if request.mask is None else torch.where(expand_mask(mask, y), y, 0.0), carried

    return step


def _wanted(request: Request, held: list[bool]) -> list[bool]:
    """Which inputs the step is differentiated for. Once anything wants a gradient, every changing leaf carries one."""
    grad = request.wants_gradient
    given = [grad and t.requires_grad for t in (*request.p, *request.weights.values())]
    leaves = request.leaves.values()
    given += [grad and leaf.is_floating_point() and (leaf.requires_grad or not same) for leaf, same in zip(leaves, held, strict=True)]
    return given + ([False] if request.mask is not None else [])


def _autocast(request: Request) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """What makes the context in which the step is called, whatever context it is entered from."""
    device = request.p[0].device.type
    return partial(torch.autocast, device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device), cache_enabled=False)


@contextlib.contextmanager
def _as_called(request: Request, mode: FakeTensorMode) -> Any:
    """Run the step on fakes, once, as it will be traced: errors of the cell's author come out of here."""
    name = type(request.cell).__name__
    try:
        with torch.inference_mode(False), torch.no_grad(), mode, _autocast(request)():
            yield
    except CannotCompile:
        raise
    except (GuardOnDataDependentSymNode, DataDependentOutputException) as error:
        raise CannotCompile(f"step of {name} looks at the values of a tensor ({_first_line(error)}); expected tensor operations only.") from error
    except Exception as error:
        raise CannotCompile(f"step of {name} cannot be traced: {type(error).__name__}: {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".")


def _make_graph(joint: Callable[..., Any], arguments: list[Any], mode: FakeTensorMode) -> fx.GraphModule:
    """The graph of `joint`, functional, without dead code. Identity hooks keep an enclosing checkpoint out of the trace."""
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)
    off = torch.autocast(arguments[1].device.type, enabled=False)
    with torch.inference_mode(False), hooks, mode, off:
        module = make_fx(joint, decomposition_table=select_decomp_table())(*arguments)
        if any(writes(node) for node in module.graph.nodes):
            refuse_impure(module)
            module = make_fx(dispatch_functionalize(joint), decomposition_table=select_decomp_table())(*arguments)
    refuse_impure(module)
    refuse_unsupported(module)
    for node in list(module.graph.nodes):
        if node.target in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    return module


def _zeros(module: fx.GraphModule, like: fx.Node) -> fx.Node:
    """A gradient of zeros: nothing flows from this step to the leaf before it."""
    value = like.meta["val"]
    batch = next(iter(module.graph.nodes))
    with module.graph.inserting_before(module.graph.output_node()):
        node = module.graph.call_function(torch.ops.aten.full.default, ([batch, *value.shape[1:]], 0), {"dtype": value.dtype, "device": value.device})
    node.meta["val"] = value
    return node
