"""The large matrix products before and after the loop, on the driver's own kernel.

What surrounds the loop is a few products of T·B rows: the projection of the input, its gradients, and the gradients of
recurrent weights. They are half of the work, and the BLAS that torch is built with runs at half the speed of the machine
on some processors. Dimension key: N rows, K inputs, M outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from seqlab.executors.compiled.driver import driver

LEAST = 2**16  # fewer multiplications than this are not worth a detour


def multiply(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a (N, K) b (K, M) + bias (M,)."""
    if not _suits(a, b):
        return a @ b if bias is None else torch.addmm(bias, a, b)
    return driver().product(a, b, bias)


def use_driver(module: fx.GraphModule) -> fx.GraphModule:
    """Send the graph's matrix products to the driver."""
    for node in module.graph.find_nodes(op="call_function", target=torch.ops.aten.mm.default):
        node.target = multiply
    module.recompile()
    return module


class LinearOnDriver(TorchFunctionMode):
    """While active, `torch.nn.functional.linear` of a CPU tensor runs on the driver, with the same gradients."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.linear and not kwargs and not torch.is_autocast_enabled("cpu"):
            x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
            if x.dim() > 1 and weight.dim() == 2 and _suits(x, weight):
                return _Linear.apply(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])  # type: ignore[union-attr]
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return driver().product(x, weight.T, bias)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # type: ignore[override]
        if torch.is_grad_enabled():
            raise RuntimeError("executor='compiled' has no second derivative, but create_graph=True asks for one. Use executor='loop'.")
        x, weight = ctx.saved_tensors
        dx = driver().product(dy, weight) if ctx.needs_input_grad[0] else None
        dweight = driver().product(dy.T, x) if ctx.needs_input_grad[1] else None
        return dx, dweight, dy.sum(0) if ctx.needs_input_grad[2] else None


def _suits(a: Tensor, b: Tensor) -> bool:
    if a.dtype not in (torch.float32, torch.float64) or a.dtype != b.dtype or a.device.type != "cpu" or b.device.type != "cpu":
        return False
    return a.layout == b.layout == torch.strided and a.numel() * b.numel() >= LEAST * a.shape[-1]
