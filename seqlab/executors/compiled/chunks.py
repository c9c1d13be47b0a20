"""A compiled step over time where every launch counts: chunks of steps, each captured once and replayed as a whole.

This is how the compiled executor runs on a GPU. A chunk of 32, 8 or 1 steps works on staging memory of its own, so it can be
recorded as a CUDA graph and replayed for any part of any sequence: another T records nothing new, and another B or another
stream only records again. Around a replay, what the chunk reads is copied in and what it made is copied out, each value for
all steps of the chunk at once. The step writes its results into that memory itself, so no step copies anything.

What is recorded, and how, is a function (`record`): `capture` for a GPU, `as_it_is` to call the steps without recording,
which any device can do. On a GPU none of this has run yet; with `as_it_is` the tests hold it against `loop` on a CPU.

Dimension key: T time, B batch.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, fx

from seqlab.executors.compiled.inductor import STEP, Compiled, compile_graph
from seqlab.executors.compiled.partition import StepGraph
from seqlab.executors.compiled.slots import Slot, evaluate
from seqlab.executors.compiled.trace import Joint, Place

SIZES = (32, 8, 1)  # steps in a chunk; what is left of T by one size goes to the next
MAX_CHUNKS = 24  # of one direction; each keeps its staging memory
ALIGNMENT = 64  # bytes: generated kernels would copy what begins elsewhere

Body = Callable[[], None]
_log = logging.getLogger("seqlab")
_one_at_a_time = threading.RLock()  # two threads would write to the same staging memory


def as_it_is(body: Body, name: str) -> Body:
    """Record nothing: each replay calls the steps again."""
    return body


def capture(body: Body, name: str) -> Body:
    """The kernels that `body` launches as one CUDA graph. Where they cannot be captured, `body` itself, and the log says why."""
    if torch.cuda.is_current_stream_capturing():  # the caller's own graph takes up the steps one by one
        return body
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):  # kernels are built and workspaces taken on first use, which a capture does not allow
            body()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            body()
    except RuntimeError as reason:
        _log.warning("the step of %s cannot be captured as a CUDA graph, so it is launched from Python, kernel by kernel: %s", name, reason)
        return body
    return graph.replay


class Chunks:
    """One direction of a step, compiled to write into memory that it is given, and its chunks by what they depend on."""

    def __init__(self, joint: Joint, graph: StepGraph, name: str) -> None:
        self.name = name
        self.inputs, self.outputs, self.sizes = graph.inputs, graph.outputs, graph.sizes
        self.compiled: Compiled = compile_graph(writing(graph.module), joint.fake_mode, STEP)
        self.record = capture if joint.y.meta["val"].device.type == "cuda" else as_it_is
        self._chunks: OrderedDict[Hashable, Chunk] = OrderedDict()

    def run(self, slots: dict[Place, Slot], outputs: dict[Place, Slot], steps: int, batch: int, reverse: bool) -> None:
        """Run all steps. slots and outputs say where each input is and where each output goes."""
        read = {place: slots[place] for place in self.inputs if place[0] not in ("batch", "size")}
        write = {place: outputs[place] for place in self.outputs}
        done, begun = 0, set()
        with _one_at_a_time, torch.no_grad():
            for size in SIZES:
                while steps - done >= size:
                    chunk = self._chunk(read, write, size, batch, reverse)
                    if size not in begun:
                        chunk.take_constants(read)
                        begun.add(size)
                    chunk.run(read, write, done, steps - done - size if reverse else done)
                    done += size

    def _chunk(self, read: dict[Place, Slot], write: dict[Place, Slot], size: int, batch: int, reverse: bool) -> Chunk:
        slots = [*read.values(), *write.values()]
        first: dict[int, int] = {}  # which of them share memory, by place: a state that is read is the state that was written
        shared = tuple(first.setdefault(id(slot.tensor), i) for i, slot in enumerate(slots))
        device = slots[0].tensor.device
        stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else None
        key = (size, batch, reverse, stream, shared, tuple((slot.kind, slot.shift) for slot in slots))
        if key not in self._chunks:
            sizes = {place: batch if place[0] == "batch" else evaluate(self.sizes[place[1]], batch) for place in self.inputs if place not in read}
            with torch.inference_mode(False):  # or later calls outside it could not write here
                chunk = self._chunks[key] = Chunk(read, write, size, reverse)
                chunk.replay = self.record(chunk.body(self, sizes), self.name)
            while len(self._chunks) > MAX_CHUNKS:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(key)
        return self._chunks[key]


class Chunk:
    """Staging memory for some steps of one direction, and what runs them there."""

    def __init__(self, read: dict[Place, Slot], write: dict[Place, Slot], steps: int, reverse: bool) -> None:
        self.steps = steps
        self.reverse = reverse
        self.replay: Body = lambda: None
        memory: dict[int, Tensor] = {}
        extra: dict[int, int] = {}
        slots = [*read.values(), *write.values()]
        for slot in slots:
            extra[id(slot.tensor)] = max(extra.get(id(slot.tensor), 0), slot.shift)
        for slot in slots:
            if id(slot.tensor) not in memory:
                memory[id(slot.tensor)] = _staging(slot, steps + extra[id(slot.tensor)])
        self.read = {place: Slot(slot.kind, memory[id(slot.tensor)], slot.shift, slot.rows) for place, slot in read.items()}
        self.write = {place: Slot(slot.kind, memory[id(slot.tensor)], slot.shift, slot.rows) for place, slot in write.items()}
        written = {id(slot.tensor) for slot in self.write.values()}
        self.carried = {place for place, slot in self.read.items() if id(slot.tensor) in written}  # made by the step before, but for the first

    def body(self, chunks: Chunks, sizes: dict[Place, int]) -> Body:
        """All steps of the chunk, on the staging memory."""
        calls = []
        for s in range(self.steps):
            t = self.steps - 1 - s if self.reverse else s
            into = [self.write[place].at(t, s) for place in chunks.outputs]
            calls.append([*(sizes[place] if place in sizes else self.read[place].at(t, s) for place in chunks.inputs), *into])

        def run() -> None:
            for arguments in calls:
                chunks.compiled(list(arguments))  # it empties the list that it is given

        return run

    def take_constants(self, read: dict[Place, Slot]) -> None:
        """Copy in what is the same at every step."""
        for place, slot in self.read.items():
            if slot.kind == "constant":
                slot.tensor.copy_(read[place].tensor)

    def run(self, read: dict[Place, Slot], write: dict[Place, Slot], done: int, low: int) -> None:
        """Run steps low, low + 1, … of the sequence, of which `done` have run before."""
        first = self.steps - 1 if self.reverse else 0
        pairs: list[tuple[Tensor, Tensor]] = []
        for place, mine in self.read.items():
            if place in self.carried:
                pairs.append((mine.at(first, 0), read[place].at(low + first, done)))
            elif mine.kind == "stack":
                pairs.append((mine.tensor[mine.shift : mine.shift + self.steps], read[place].tensor[low + mine.shift : low + mine.shift + self.steps]))
            else:
                assert mine.kind == "constant", f"{place} swings but nothing writes it"
        _copy(pairs)
        self.replay()
        pairs = []
        for place, mine in self.write.items():
            if mine.kind == "stack":
                pairs.append((write[place].tensor[low + mine.shift : low + mine.shift + self.steps], mine.tensor[mine.shift : mine.shift + self.steps]))
            else:
                last = self.steps - 1
                pairs.append((write[place].at(0, done + last), mine.at(0, last)))
        _copy(pairs)


def writing(module: fx.GraphModule) -> fx.GraphModule:
    """The step with a further argument for each result, which is written there instead of returned."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    output = module.graph.output_node()
    for node in module.graph.nodes:
        if node.op == "placeholder":
            copies[node] = graph.node_copy(node, copies.__getitem__)
    results: list[fx.Node] = list(output.args[0])  # type: ignore[arg-type]
    into = []
    for index, result in enumerate(results):
        into.append(graph.placeholder(f"into_{index}"))
        into[-1].meta["val"] = result.meta["val"].new_empty(result.meta["val"].shape)
    for node in module.graph.nodes:
        if node.op not in ("placeholder", "output"):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    for target, result in zip(into, results, strict=True):
        written = graph.call_function(torch.ops.aten.copy_.default, (target, copies[result]))
        written.meta["val"] = target.meta["val"]
    graph.output(())
    return fx.GraphModule(module, graph)


def _staging(slot: Slot, rows: int) -> Tensor:
    """Zeros, valid as an index too, for the steps of a chunk; every step begins at an aligned address."""
    like = slot.tensor
    if slot.kind == "constant":
        return torch.empty_like(like).zero_()
    rows = rows if slot.kind == "stack" else 2
    width = like[0].numel()
    per_block = max(1, ALIGNMENT // like.element_size())
    memory = like.new_zeros(rows, -(-width // per_block) * per_block)
    return memory[:, :width].unflatten(1, like.shape[1:]) if like.dim() > 1 else memory[:, 0]


def _copy(pairs: list[tuple[Tensor, Any]]) -> None:
    """All of them in as few launches as there are kinds of tensors."""
    if pairs:
        torch._foreach_copy_([target for target, _ in pairs], [source for _, source in pairs])  # type: ignore[reportPrivateImportUsage]
