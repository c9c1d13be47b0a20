"""One direction of a compiled step, run over all times: from the tape where there is one, else from a Python loop.

Dimension key: T time, B batch.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from seqlab.executors.compiled.chunks import Chunks
from seqlab.executors.compiled.driver import Chunk, driver
from seqlab.executors.compiled.inductor import STEP, Compiled, compile_graph
from seqlab.executors.compiled.partition import StepGraph, written_over
from seqlab.executors.compiled.slots import Slot, concrete, evaluate
from seqlab.executors.compiled.tanh import expand_tanh
from seqlab.executors.compiled.tape import NotRecordable, Tape, Weight, record
from seqlab.executors.compiled.trace import Joint, Place

_log = logging.getLogger("seqlab")
_recording = threading.Lock()  # it puts recorders into the globals of the generated code, which another thread must not meet
IN_CHUNKS = {"cuda"}  # devices that run chunks of steps instead of a tape


class Program:
    """A step graph with its compiled form and a tape for each number of rows that was asked for.

    over: {an output: the input whose memory it may take over, step by step}. why_no_tape: what prevents the tape, or an empty string.
    """

    def __init__(self, joint: Joint, graph: StepGraph, name: str) -> None:
        self.graph = graph
        self.name = name
        self.values = [node.meta["val"] for node in graph.module.graph.find_nodes(op="placeholder")]
        self.results = [node.meta["val"] for node in graph.module.graph.output_node().args[0]]  # type: ignore[union-attr]
        self.chunks = Chunks(joint, graph, name) if joint.y.meta["val"].device.type in IN_CHUNKS else None
        self.compiled: Compiled = compile_graph(expand_tanh(graph.module), joint.fake_mode, STEP) if self.chunks is None else self.chunks.compiled
        self.over = written_over(graph) if self.chunks is None else {}
        self.tapes: dict[int, Tape] = {}
        self.why_no_tape = ""

    def result(self, place: Place) -> Tensor:
        """The fake tensor of the output that goes to `place`."""
        return self.results[self.graph.outputs.index(place)]

    def value(self, place: Place) -> Tensor:
        """The fake tensor of the input that comes from `place`."""
        return self.values[self.graph.inputs.index(place)]

    def run(self, slots: dict[Place, Slot], outputs: dict[Place, Slot], steps: int, batch: int, reverse: bool) -> None:
        """Run all steps. slots and outputs say where each input is and where each output goes."""
        if self.chunks is not None:
            self.chunks.run(slots, outputs, steps, batch, reverse)
            return
        into = [outputs[place] for place in self.graph.outputs]
        if not self.why_no_tape:
            try:
                parts = [(first, rows, self._tape(rows)) for first, rows in split_rows(batch)]
            except NotRecordable as reason:
                self.why_no_tape = str(reason)
                _log.info("the %s step of %s runs in a Python loop: %s", "backward" if reverse else "forward", self.name, reason)
            else:
                self._replay(parts, slots, into, steps, reverse)
                return
        for s in range(steps):
            t = steps - 1 - s if reverse else s
            arguments = [self._size(place, batch) if place[0] in ("batch", "size") else slots[place].at(t, s) for place in self.graph.inputs]
            for slot, value in zip(into, self.compiled(arguments), strict=True):
                slot.at(t, s).copy_(value)

    def _size(self, place: Place, batch: int) -> int:
        return batch if place[0] == "batch" else evaluate(self.graph.sizes[place[1]], batch)

    def _tape(self, rows: int) -> Tape:
        if rows not in self.tapes:
            with _recording:
                if rows not in self.tapes:
                    self.tapes[rows] = self._record(rows)
        return self.tapes[rows]

    def _record(self, rows: int) -> Tape:
        inputs = [
            self._size(place, rows)
            if not isinstance(value, Tensor)
            else torch.empty_strided(concrete(value.shape, rows), concrete(value.stride(), rows), dtype=value.dtype)
            for place, value in zip(self.graph.inputs, self.values, strict=True)
        ]
        late = [place in self.over for place in self.graph.outputs]
        return record(self.compiled, inputs, [place[0] == "constant" for place in self.graph.inputs], late)

    def _replay(self, parts: list[tuple[int, int, Tape]], slots: dict[Place, Slot], into: list[Slot], steps: int, reverse: bool) -> None:
        chunks, kept = [], []
        packed: dict[Weight, Tensor] = {}
        for first, _, tape in parts:
            base, stride, swing = (array("q", bytes(8 * tape.buffers)) for _ in range(3))
            where = [slots.get(place) for place in self.graph.inputs]
            for number, slot in [*enumerate(where), *zip(tape.outputs, into, strict=True)]:
                if slot is not None:  # a size has no memory: it is a constant of the tape
                    base[number], stride[number], swing[number] = slot.binding(first)
            for number, weight in tape.packed.items():
                if weight not in packed:
                    source = slots[self.graph.inputs[weight.source]].tensor
                    packed[weight] = driver().pack(
                        source.as_strided(weight.shape, weight.stride, source.storage_offset() + weight.offset // source.element_size())
                    )
                base[number] = packed[weight].data_ptr()
            scratch = torch.empty(sum(_aligned(size) for size in tape.temporaries.values()) + 64, dtype=torch.uint8)
            address = _aligned(scratch.data_ptr())
            for number, size in tape.temporaries.items():
                base[number] = address
                address += _aligned(size)
            kept += [base, stride, swing, scratch]
            pointers = (words.buffer_info()[0] for words in (tape.program, base, stride, swing))
            chunks.append(Chunk(*pointers, len(tape.program), tape.buffers))
        driver().replay(chunks, steps, reverse)
        del kept


def split_rows(batch: int) -> Iterable[tuple[int, int]]:
    """(first row, number of rows) for each thread. Rows are independent, so a thread never waits for another."""
    threads = min(torch.get_num_threads(), max(1, batch // 2))
    bounds = [batch * i // threads for i in range(threads + 1)]
    return [(low, high - low) for low, high in pairwise(bounds)]


def _aligned(size: int) -> int:
    return (size + 63) // 64 * 64
