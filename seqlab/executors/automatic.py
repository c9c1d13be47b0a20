"""What `executor="auto"` chooses, for a cell and a call.

On a CPU the numbers below are measured: experiments/speed/thresholds.py times every executor on a grid of cells and sizes,
thresholds.csv beside it holds the times, and `--check` says how far this choice is from the best executor by hand. They
come of three costs. A step of the loop costs 25 to 200 µs of launches. A call of compiled code costs 0.2 ms forward and
0.8 ms with its backward, and then little more than its arithmetic. torch's LSTM kernel costs 0.1 ms a call and, for one
step, as much again as reading its weights; on several threads its steps wait for each other, 5 µs each, where compiled ones
go through time on rows of their own. The kernels of GRU and RNN are loops over small operations.

On a GPU nothing is measured yet: there the order is by how many launches follow one another.
Dimension key: T time, B batch, H width of the output.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

LEAST_STEPS = 16  # fewer do not pay for the five seconds of compiling them: less than 0.3 ms a call could be won
LEAST_SCANNED = 4  # steps from which the scan's few large operations take less time than the loop's many small ones
WIDE = 2048  # B · H from which a step is mostly arithmetic, in which compiled code is faster than the loop …
VERY_WIDE = 8192  # … and from which a few steps are enough
MEETINGS = 128  # steps from which the waits of several threads for each other add up to half a millisecond …
NARROW = 1024  # … which is more than the arithmetic of compiled steps takes longer than the kernel's up to this B · H
LSTM_WORK = 2.5 * 2**20  # T H² √B from which compiled training is faster than torch's LSTM kernel on one thread


class Choice(NamedTuple):
    """Which executor runs a cell, and why. The reason is a sentence for the log and for summary.json."""

    executor: str
    reason: str


class Call(NamedTuple):
    """What of a call bears on the choice: how many steps, whether gradients are wanted, where, whether memory is saved,
    whether it happens inside a transformation of torch.func or torch.compile, how many rows, and on how many threads."""

    steps: int = 1024
    gradient: bool = True
    device: str = "cpu"
    recompute: bool = False
    transformed: bool = False
    batch: int = 32
    threads: int = 0  # 0: as torch has them

    def num_threads(self) -> int:
        return self.threads or torch.get_num_threads()


class Obstacles(NamedTuple):
    """What prevents each executor, or an empty string; and of a cell its kernel in torch.nn, if any, and its width."""

    native: str
    scan: str
    compiled: str
    kernel: str
    width: int


def automatic(call: Call, obstacles: Obstacles) -> Choice:
    """The best executor of those that nothing prevents."""
    return on_cpu(call, obstacles) if call.device == "cpu" else on_gpu(call, obstacles)


def on_cpu(call: Call, no: Obstacles) -> Choice:
    """By measurement, see the top of this file."""
    if not no.native and not (_compiled_pays(call, no) and not no.compiled):
        if _loop_beats_kernel(call, no):
            return Choice("loop", "for so few steps torch.nn's kernel, which has this cell's equations, takes longer to start")
        reason = "a kernel of torch.nn has exactly this cell's equations"
        return Choice("native", f"{reason}, and it is not compiled: {no.compiled}" if no.compiled else reason)
    if _compiled_pays(call, no) and not no.compiled:
        return Choice("compiled", "forward and backward of its step are compiled for sequences this long")
    if not no.scan and call.steps >= LEAST_SCANNED:
        why = f"it is not compiled: {no.compiled}" if no.compiled else "for so few small steps that is faster than compiled ones"
        return Choice("scan", f"it is linear in its state, and {why}")
    why = f"it is not compiled: {no.compiled}" if no.compiled else "so few steps do not pay for compiling"
    return Choice("loop", f"no kernel of torch.nn fits: {no.native}; and {why}")


def on_gpu(call: Call, no: Obstacles) -> Choice:
    """cuDNN's kernel is one launch, the scan's are about 2√T times a few, those of compiled steps T times a few but replayed
    without Python, those of the loop T times many."""
    if not no.native:
        return Choice("native", "a kernel of torch.nn has exactly this cell's equations")
    if not no.scan:
        return Choice("scan", f"it is linear in its state, and no kernel of torch.nn fits: {no.native}")
    if not no.compiled and call.steps >= LEAST_STEPS:
        return Choice("compiled", f"its step is compiled and replayed on the GPU; no kernel of torch.nn fits: {no.native}")
    why = f"it is not compiled: {no.compiled}" if no.compiled else "so few steps do not pay for compiling"
    return Choice("loop", f"no kernel of torch.nn fits: {no.native}; and {why}")


def _compiled_pays(call: Call, no: Obstacles) -> bool:
    work = call.batch * no.width
    if no.kernel == "lstm":  # threads share the rows of compiled steps, but only the products of the kernel's
        if not call.gradient:
            return call.num_threads() > 1 and call.batch > 1 and call.steps >= MEETINGS and work < NARROW
        return call.steps > 1 and call.steps * no.width**2 * math.sqrt(call.batch) * call.num_threads() >= LSTM_WORK
    if not no.scan:  # it can be scanned meanwhile
        return call.steps >= (LEAST_STEPS // 2 if work >= VERY_WIDE else LEAST_STEPS if work >= WIDE else 4 * LEAST_STEPS)
    least = LEAST_STEPS * 2 if no.kernel.startswith("rnn") else LEAST_STEPS  # a step of three operations is soon run in any way
    return call.steps >= (least // 4 if work >= VERY_WIDE else least // 2 if work >= WIDE else least)


def _loop_beats_kernel(call: Call, no: Obstacles) -> bool:
    if no.kernel == "lstm":
        enough = 64 if call.num_threads() == 1 else 32  # the loop's small operations run on one thread
        return call.steps * call.batch < no.width / 16 or (call.steps == 1 and not (call.batch >= enough and call.batch * no.width >= VERY_WIDE))
    return call.steps == 1 and no.kernel != "gru"
