"""The compiled executor on a GPU, checked first and then timed: python experiments/speed/gpu.py

Holds it against `loop` on the GPU (outputs, final state, all gradients; lengths, carried state, float64, float32, bfloat16
autocast), stops if anything differs, and then runs `seqlab bench --device cuda` beside cuDNN and, where they are installed,
haste (haste_pytorch) and FlashRNN (flashrnn). Writes gpu.csv beside this file and prints each goal with its figure. Without
a GPU it writes and prints "not measured".
"""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from seqlab import Cell, Layer, make_cell
from seqlab.bench.gpu_peers import MODULES
from seqlab.registry import known_names, load_plugin_file

HERE = Path(__file__).parent
SIZES = ["512,32,256,256", "512,32,512,512", "512,32,1024,1024"]
OTHERS = ["lstm_peephole", "lstm_coupled", "unseen", "lstm_layer_norm", "zoneout_lstm", "gru"]
OPEN = ["haste:lstm", "flashrnn:lstm"]
NOT_MEASURED = "not measured"


def observe(cell: Cell, executor: str, x: Tensor, lengths: Tensor | None, autocast: bool) -> dict[str, Tensor]:
    """Everything that can be seen of a call in two parts, the state carried from one to the other."""
    torch.manual_seed(1)
    state = {name: torch.randn_like(leaf).requires_grad_() if leaf.is_floating_point() else leaf for name, leaf in cell.initial_state(x.shape[0]).items()}
    x = x.detach().requires_grad_()
    layer = Layer(cell, executor)
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        if lengths is None:
            half = x.shape[1] // 2 or 1
            first, carried = layer(x[:, :half], state=dict(state))
            second, final = layer(x[:, half:], state=carried) if half < x.shape[1] else (first[:, :0], carried)
            y = torch.cat([first, second], 1)
        else:
            y, final = layer(x, lengths, dict(state))
    torch.manual_seed(2)
    outputs = {"y": y, **{f"final {name}": leaf for name, leaf in final.items() if leaf.is_floating_point()}}
    loss = sum((value * torch.randn_like(value)).sum() for value in outputs.values())
    wanted = {"x": x, **{f"state {n}": s for n, s in state.items() if s.requires_grad}, **dict(cell.named_parameters())}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)  # type: ignore[arg-type]
    return {name: value.detach() for name, value in outputs.items()} | {f"d {n}": g for n, g in zip(wanted, found, strict=True) if g is not None}


def check(make: Callable[[int, int], Cell], dtype: torch.dtype, autocast: bool) -> float:
    """The largest difference from `loop`, over the size of the value, in units of what this type may lose."""
    torch.manual_seed(0)
    allowed = 0.03 if autocast else {torch.float64: 1e-11, torch.float32: 3e-4}[dtype]
    worst = 0.0
    cell = make(8, 24).to("cuda", dtype).eval()  # a noise that is drawn would not be the same twice
    for num_steps, batch_size, padded in ((1, 1, False), (43, 3, False), (43, 3, True), (100, 16, True)):
        x = torch.randn(batch_size, num_steps, 8, dtype=dtype, device="cuda")
        lengths = torch.randint(1, num_steps + 1, (batch_size,), device="cuda") if padded else None
        expected, found = observe(cell, "loop", x, lengths, autocast), observe(cell, "compiled", x, lengths, autocast)
        for name, value in expected.items():
            difference = (found[name].double() - value.double()).abs().max().item()
            worst = max(worst, difference / max(1.0, value.abs().max().item()) / allowed)
    return worst


def check_all() -> bool:
    """Print the verdict on every registered cell. Returns whether all agree."""
    good = True
    for name in known_names():
        for dtype, autocast in ((torch.float64, False), (torch.float32, False), (torch.float32, True)):
            worst = check(lambda i, h, name=name: make_cell(name, i, h), dtype, autocast)
            good &= worst <= 1
            print(f"{name:20} {'bfloat16 autocast' if autocast else dtype!s:20} {worst:.2f} of what is allowed {'' if worst <= 1 else 'DIFFERS'}", flush=True)
    return good


def bench() -> list[dict[str, str]]:
    """The rows of `seqlab bench` on the GPU."""
    peers = [side for side in OPEN if importlib.util.find_spec(MODULES[side.partition(":")[0]])]
    sides = [*(f"{cell}:compiled" for cell in ("lstm", *OTHERS)), "lstm:native", "lstm:loop", *peers, "floor:lstm"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "seqlab.cli", "bench", *sides, "--device", "cuda", "--sizes", *SIZES, "--modes", "training", "inference"]
        subprocess.run([*command, "--memory", "--plugin", str(HERE / "cells.py"), "--out", folder], check=True)
        with open(Path(folder) / "bench.csv", newline="") as file:
            return list(csv.DictReader(file))


def goals(rows: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """(what, goal, figure at each size) of each goal; the figure of what was not measured says so."""
    times = {(row["side"], row["H"]): float(row["median_ms"]) for row in rows if row["mode"] == "training"}
    widths = [size.split(",")[3] for size in SIZES]

    def ratio(side: str, references: list[str]) -> str:
        found: list[str] = []
        for width in widths:
            known = [times[reference, width] for reference in references if (reference, width) in times]
            found.append(f"{times[side, width] / min(known):.2f}" if known and (side, width) in times else NOT_MEASURED)
        return " ".join(found) if NOT_MEASURED not in found else NOT_MEASURED

    table: list[tuple[str, str, str]] = [
        ("lstm compiled / cuDNN", "≤ 3, then ≤ 1.5", ratio("lstm:compiled", ["nn.LSTM"])),
        ("lstm compiled / best open kernel", "≤ 1.0", ratio("lstm:compiled", OPEN)),
    ]
    return table + [(f"{cell} compiled / lstm compiled", "≤ 1.2", ratio(f"{cell}:compiled", ["lstm:compiled"])) for cell in OTHERS]


def main() -> None:
    rows: list[dict[str, str]] = []
    if torch.cuda.is_available():
        load_plugin_file(str(HERE / "cells.py"))
        if not check_all():
            sys.exit("the compiled executor differs from the loop: nothing was timed")
        rows = bench()
    else:
        print("torch finds no CUDA device: nothing was checked and nothing was measured")
    with open(HERE / "gpu.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "goal", f"T 512, B 32, H {' '.join(size.split(',')[3] for size in SIZES)}"])
        writer.writerows(goals(rows))
        if rows:
            writer.writerows([[], list(rows[0]), *(list(row.values()) for row in rows)])
    for line in goals(rows):
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
