"""Record what Inductor's wrapper does in one step, as a program for the driver.

The generated wrapper is a short Python function: it allocates buffers and launches kernels and matrix products. It is run
once, with recorders in the place of those three. What comes out is a list of calls on numbered buffers; at replay each
number is bound to memory with a stride over time, so a step costs no Python, no dispatcher and no allocation.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqlab.executors.compiled.inductor import Compiled, wrapper_of

KERNEL, PRODUCT, PACKED, COPY = 0, 1, 2, 3  # as in driver.cpp
MAX_ARGUMENTS = 64


class NotRecordable(Exception):
    """The step does something that is neither a kernel, a product nor an allocation; the message says what."""


class Weight(NamedTuple):
    """A matrix (rows, columns) that is the same at every step: where it lies in which input, strides in numbers."""

    source: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass
class Tape:
    """program for the driver; buffers are numbered inputs first, then outputs and temporaries in order of allocation.

    outputs: the number of each output's buffer. temporaries: {number: bytes}. packed: {number: the weight that is packed
    into this buffer before the first step}.
    """

    program: array[int]
    buffers: int
    outputs: list[int]
    temporaries: dict[int, int]
    packed: dict[int, Weight]
    kernels: list[Any] = field(default_factory=list)  # keeps the libraries loaded


def record(compiled: Compiled, inputs: list[Any], constant: list[bool], late: list[bool]) -> Tape:
    """Run the wrapper once on `inputs` (tensors and integers) and return its tape. Raises NotRecordable.

    constant: which inputs are the same at every step, so that products may read them packed.
    late: which outputs are written only after every input was read, so that they may lie where an input lay.
    """
    return _Recorder(inputs, constant).record(compiled, late)


class _Recorder:
    def __init__(self, inputs: list[Any], constant: list[bool]) -> None:
        self.inputs = inputs
        self.constant = constant
        self.packed: dict[int, Weight] = {}
        self.program: array[int] = array("q")
        self.number: dict[int, int] = {}  # address of a storage -> number of its buffer
        self.sizes: list[int] = []
        self.given: set[int] = set()  # buffers that are outputs
        self.kept: list[Any] = []  # storages stay alive, or an address could be given out twice
        for value in inputs:
            self._buffer(value if isinstance(value, Tensor) else torch.empty(1))

    def record(self, compiled: Compiled, late: list[bool]) -> Tape:
        call, names = wrapper_of(compiled)
        original = dict(names)
        guard = _OnlyViews()
        try:
            for name, value in original.items():
                module = getattr(value, "__self__", None)
                if module is not None and getattr(module, "kernel", None) is value:
                    names[name] = self._kernel(value)
            names["extern_kernels"] = _Products(self, guard)
            names["empty_strided_cpu"] = self._allocate
            with guard:
                outputs = call(list(self.inputs))
        finally:
            names.update(original)
        numbers = [-1] * len(outputs)
        for index in sorted(range(len(outputs)), key=lambda index: late[index]):
            numbers[index] = self._output(outputs[index], late[index])
        temporaries = {n: size for n, size in enumerate(self.sizes) if n >= len(self.inputs) and n not in numbers and n not in self.packed}
        return Tape(self.program, len(self.sizes), numbers, temporaries, self.packed, self.kept[len(self.inputs) :])

    def _buffer(self, tensor: Tensor) -> Tensor:
        self.number[tensor.untyped_storage().data_ptr()] = len(self.sizes)
        self.sizes.append(tensor.untyped_storage().nbytes())
        self.kept.append(tensor)
        return tensor

    def _allocate(self, size: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return self._buffer(_allocated(size, stride, dtype))

    def where(self, tensor: Tensor) -> tuple[int, int]:
        """(buffer, offset in bytes)."""
        number = self.number.get(tensor.untyped_storage().data_ptr())
        if number is None:
            raise NotRecordable("it reads a tensor from outside the step")
        return number, int(tensor.storage_offset()) * tensor.element_size()

    def pack(self, weight: Tensor) -> int | None:
        """The number of a buffer with the weight packed, or None when it changes from step to step."""
        source, offset = self.where(weight)
        if source >= len(self.inputs) or not self.constant[source]:
            return None
        wanted = Weight(source, offset, tuple(weight.shape), tuple(weight.stride()))
        for number, known in self.packed.items():
            if known == wanted:
                return number
        self.sizes.append(0)
        self.packed[len(self.sizes) - 1] = wanted
        return len(self.sizes) - 1

    def emit(self, operation: int, words: list[int], wide: bool = False) -> None:
        self.program.extend([operation, len(words) + 3, int(wide), *words])

    def _kernel(self, function: Callable[..., None]) -> Callable[..., None]:
        library = ctypes.CDLL(function.__self__.__file__)  # type: ignore[attr-defined]
        self.kept.append(library)
        address = ctypes.cast(library.kernel, ctypes.c_void_p).value
        assert address is not None

        def recorded(*arguments: Any) -> None:
            if len(arguments) > MAX_ARGUMENTS:
                raise NotRecordable(f"a kernel takes {len(arguments)} arguments, more than {MAX_ARGUMENTS}")
            words = [address, len(arguments)]
            for value in arguments:
                if not isinstance(value, (Tensor, int)):
                    raise NotRecordable(f"a kernel takes an argument of type {type(value).__name__}")
                words += self.where(value) if isinstance(value, Tensor) else (-1, value)
            self.emit(KERNEL, words)

        return recorded

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Row by row; a source of one axis is copied to each row."""
        rows = target.shape[0] if target.dim() > 1 and target.numel() else 1
        width = target.numel() // rows * target.element_size()
        if not target.is_contiguous() or (source.dim() > 0 and source.stride(-1) != 1 and source.shape[-1] != 1):
            raise NotRecordable(f"it copies a tensor with strides {source.stride()}")
        if source.shape == target.shape and source.is_contiguous():
            rows, width = 1, width * rows
        elif source.dim() > 2:
            raise NotRecordable(f"it copies a tensor with strides {source.stride()}")
        step = source.stride(0) * source.element_size() if source.dim() == 2 and source.shape[0] > 1 else 0
        self.emit(COPY, [rows, width, *self.where(target), width, *self.where(source), step])

    def _output(self, output: Any, late: bool) -> int:
        if not isinstance(output, Tensor) or not output.is_contiguous():
            raise NotRecordable("an output is no contiguous tensor")
        number, offset = self.where(output)
        if late or number < len(self.inputs) or offset or number in self.given:
            fresh = self._allocate(tuple(output.shape), tuple(output.stride()), output.dtype)
            self.copy(fresh, output)
            number = len(self.sizes) - 1
        self.given.add(number)
        return number


class _Products:
    """Stands for Inductor's `extern_kernels`."""

    def __init__(self, recorder: _Recorder, guard: _OnlyViews) -> None:
        self.recorder = recorder
        self.guard = guard

    def mm(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        self._product(a, b, out)

    def bmm(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        self._product(a, b, out)

    def addmm(self, bias: Tensor, a: Tensor, b: Tensor, *, alpha: float = 1, beta: float = 1, out: Tensor) -> None:
        if alpha != 1 or beta != 1:
            raise NotRecordable("it scales a product")
        self.recorder.copy(out, bias)
        self._product(a, b, out, accumulate=True)

    def __getattr__(self, name: str) -> Any:
        raise NotRecordable(f"it calls {name}")

    def _product(self, a: Tensor, b: Tensor, out: Tensor, accumulate: bool = False) -> None:
        if out.dtype not in (torch.float32, torch.float64):
            raise NotRecordable(f"it multiplies matrices of {out.dtype}")
        if out.stride(-1) != 1 and out.shape[-1] != 1:
            raise NotRecordable("it multiplies into a transposed matrix")
        where, wide = self.recorder.where, out.dtype == torch.float64
        (m, k), n = a.shape[-2:], b.shape[-1]
        left, right, target = [*where(a), *a.stride()[-2:]], [*where(b), *b.stride()[-2:]], [*where(out), out.stride(-2)]
        packed = self.recorder.pack(b) if out.dim() == 2 else None
        if packed is not None:
            self.recorder.emit(PACKED, [m, n, k, *left, packed, *target, int(accumulate)], wide)
            return
        many = [out.shape[0], *(matrix.stride(0) * out.element_size() for matrix in (a, b, out))] if out.dim() == 3 else [1, 0, 0, 0]
        self.recorder.emit(PRODUCT, [m, n, k, *left, *right, *target, int(accumulate), *many], wide)


def _allocated(size: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    tensor = torch.empty_strided(size, stride, dtype=dtype)
    return tensor if tensor.untyped_storage().nbytes() else torch.empty(1, dtype=dtype)


class _OnlyViews(TorchDispatchMode):
    """Refuses what would compute during the recording but not at replay."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not (func.is_view or func in (torch.ops.aten.empty_strided.default, torch.ops.aten.empty.memory_format)):
            raise NotRecordable(f"it calls {func}")
        return func(*args, **(kwargs or {}))
