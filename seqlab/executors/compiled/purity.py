"""What a step must not do to be compiled: its traced code, replayed, would give other numbers or none of its side effects."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import Any

import torch
from torch import fx, nn

from seqlab.executors.compiled.request import attributes_key
from seqlab.executors.sequence import CannotCompile

PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.bmm.default, torch.ops.aten.addmm.default, torch.ops.aten.baddbmm.default)


@contextlib.contextmanager
def as_it_was(cell: nn.Module) -> Any:
    """Raise CannotCompile, with the cell as it was, when a step has side effects: at replay there would be none."""
    modules = dict(cell.named_modules())
    before = {path: (attributes_key(module), dict(vars(module))) for path, module in modules.items()}
    drawn = _python_randomness()
    yield
    if _python_randomness() != drawn:
        raise CannotCompile("step draws random numbers (of Python or NumPy); expected none. Draw them in `project` or `draw_masks`, with torch.")
    for path, module in modules.items():
        key, kept = before[path]
        if attributes_key(module) != key:
            changed = [name for name, value in vars(module).items() if kept.get(name, before) is not value]
            vars(module).clear()
            vars(module).update(kept)  # or a tensor of the trace, without values, would stay in the cell
            names = ", ".join(f"{path}.{name}".lstrip(".") for name in changed) or path
            raise CannotCompile(f"step of {type(cell).__name__} changes attributes ({names}); expected a pure function. Make them state leaves.")


def _python_randomness() -> tuple[object, str]:
    numpy = sys.modules.get("numpy")  # whoever draws from it has imported it
    return random.getstate(), "" if numpy is None else repr(numpy.random.get_state())


def refuse_impure(module: fx.GraphModule) -> None:
    """Raise CannotCompile for random numbers, and for writes to an argument of the step."""
    for node in module.graph.nodes:
        if not isinstance(node.target, torch._ops.OpOverload):
            continue
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise CannotCompile(f"step draws random numbers ({node.target}); expected none. Draw them in `project` or `draw_masks`.")
        if writes(node) and _base(node.args[0]).op == "placeholder":
            raise CannotCompile(f"step writes to one of its arguments ({node.target}); expected a pure function. Make a new tensor.")


def writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _base(node: Any) -> fx.Node:
    """The node whose memory a chain of views shows."""
    while node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload) and (node.target.is_view or writes(node)):
        node = node.args[0]
    return node


def refuse_unsupported(module: fx.GraphModule) -> None:
    """Raise CannotCompile for weights that no gradient would reach, and for products of two dtypes."""
    for node in module.graph.find_nodes(op="get_attr"):
        if getattr(getattr(module, node.target), "requires_grad", False):
            raise CannotCompile(
                "step reads a tensor that learns but is no parameter of the cell; expected it registered. Hold it as an attribute or in a ModuleList."
            )
    for node in module.graph.nodes:
        kinds = {str(i.meta["val"].dtype) for i in node.all_input_nodes} if node.target in PRODUCTS else set()
        if len(kinds) > 1:  # fake tensors do not mind, and the driver would read one as the other
            raise CannotCompile(f"step multiplies matrices of {' and '.join(sorted(kinds))}; expected one dtype.")
