"""Packages that look installed: files and the metadata that an installer would have written, in a folder of sys.path."""

from collections.abc import Mapping
from pathlib import Path

CELL = '''
from seqlab import Cell, register_cell


@register_cell("{name}")
class {cls}(Cell):
    """Leaky sum: h_t = a h_(t-1) + x_t.

    Source: nobody, 2026, eq. 1.
    """

    def __init__(self, input_size, hidden_size, *, alpha=0.5, beta):
        super().__init__(input_size, input_size, {{"h": (input_size,)}}, output_key="h")
        self.alpha = alpha

    def step(self, p, state):
        h = self.alpha * state["h"] + p
        return h, {{"h": h}}
'''


def write_package(site: Path, name: str, files: Mapping[str, str], cells: Mapping[str, str] | None = None, configs: str = "") -> None:
    """Put files (path: text) into `site`, with the entry points of a distribution `name`."""
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, encoding="utf-8")
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = ["[seqlab.cells]", *(f"{cell} = {value}" for cell, value in (cells or {}).items())]
    lines += ["[seqlab.configs]", f"{name} = {configs}"] if configs else []
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
