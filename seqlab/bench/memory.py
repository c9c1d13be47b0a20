"""Peak memory of one run of a side, in a process of its own: python -m seqlab.bench.memory SIDE T,B,I,H MODE DEVICE.

On the CPU the kernel's own high-water mark of the resident set is read, so that memory taken by any library counts. What
the allocator kept from the runs before is returned first, or the mark would only show what was never returned.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

REGIME = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peak_bytes(name: str, size: str, mode: str, device: str) -> int | None:
    """Peak of one run beyond what the process held before it; None where the system has no such mark."""
    if device == "cpu" and not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-m", "seqlab.bench.memory", name, size, mode, device]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | REGIME
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"measuring the memory of {name} at {size} failed:\n{done.stderr.strip()}")
    return int(done.stdout.split()[-1])


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def _main(name: str, size: str, mode: str, device: str) -> None:
    import torch

    from seqlab.bench.sides import Size, build_side

    side = build_side(name, Size.parse(size), mode, device)
    for _ in range(3):
        side.run()
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        side.run()
        torch.cuda.synchronize()
        print(torch.cuda.max_memory_allocated() - before)
        return
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    side.run()
    print(_status("VmHWM") - before)


if __name__ == "__main__":
    _main(*sys.argv[1:])
