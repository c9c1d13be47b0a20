"""Compile one step graph with Inductor, and find the parts of the wrapper that it generates."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config as inductor_config
from torch import fx
from torch._guards import TracingContext, tracing
from torch._inductor import exc
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.cpu_vec_isa import VecISA
from torch._subclasses.fake_tensor import FakeTensorMode

from seqlab.executors.sequence import CannotCompile

Compiled = Callable[[list[Any]], Any]

# One thread for each kernel: the driver splits the rows over threads, so no step waits for another thread.
# No pattern matcher: its fusion of a sum and a product copies the projection at every step.
STEP = {"pattern_matcher": False, "cpp.threads": 1, "compile_threads": 1, "fx_graph_cache": True, "cpp_wrapper": False, "max_autotune": False}
ROWS = {"compile_threads": 1, "fx_graph_cache": True, "cpp_wrapper": False}


def compile_graph(module: fx.GraphModule, mode: FakeTensorMode, settings: dict[str, Any]) -> Compiled:
    """The compiled module, called with one list of tensors and integers; compiled code is cached on disk by Inductor."""
    remember_probes()
    values = [node.meta["val"] for node in module.graph.find_nodes(op="placeholder")]
    output = module.graph.output_node()
    output.meta["user_visible_output_idxs"] = list(range(len(output.args[0])))  # type: ignore[arg-type]
    device = next(value.device.type for value in values if isinstance(value, torch.Tensor))
    with tracing(TracingContext(mode)), inductor_config.patch(settings), torch.autocast(device, enabled=False), quiet():
        try:
            return compile_fx_inner(module, values)
        except (exc.InductorError, exc.CppCompileError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise CannotCompile(f"Inductor cannot compile the step: {type(error).__name__}: {reason}.") from error


@cache
def remember_probes() -> None:
    """Keep on disk, beside each of Inductor's trial libraries, that it loads.

    Inductor (2.13) builds one for each instruction set of the machine and has it loaded by a process of its own, in every
    process anew: a second before the first step, for an answer that stays the same. Only a yes is kept.
    """
    ask = getattr(VecISA, "_probe_load", None)
    if ask is None:  # a torch that asks in another way; the second is then not saved
        return

    def probe(self: VecISA, output_path: str) -> bool:
        known = Path(f"{output_path}.loads")
        if known.exists():
            return True
        loads = ask(self, output_path)
        if loads:
            known.touch()
        return loads

    VecISA._probe_load = probe


def wrapper_of(compiled: Any) -> tuple[Callable[[list[Any]], Any], dict[str, Any]]:
    """The generated Python function that launches the kernels, and the globals it takes them from."""
    call = compiled.current_callable
    function = getattr(call, "__func__", call)
    return call, function.__globals__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inductor warns about choices that concern whole models; for one step they mean nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
