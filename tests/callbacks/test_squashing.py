"""Saturation by hand, and gates called what their cell calls them."""

import pytest
import torch

from seqlab import Layer, make_cell
from seqlab.callbacks.probe import TracedCell
from seqlab.callbacks.squashing import SquashingWatch
from seqlab.cells.base import Cell, State


def shares(cell: Cell, x: torch.Tensor, lengths: torch.Tensor | None = None) -> dict[str, float]:
    watch = SquashingWatch()
    watch.begin(lengths)
    Layer(TracedCell(cell, watch), executor="loop")(x, lengths)
    return watch.shares()


def constant_cell(name: str, bias: list[float]) -> Cell:
    """A cell of one unit per gate whose pre-activations are its bias, at every step."""
    cell = make_cell(name, 1, 1)
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        cell.bias.copy_(torch.tensor(bias))
    return cell


@pytest.mark.parametrize(
    ("name", "bias", "expected"),
    [
        ("lstm", [9.0, -9.0, 9.0, 0.0], {"σ(f)": 1, "σ(i)": 1, "tanh(g)": 1, "σ(o)": 0}),
        ("lstm", [0.0, 0.0, -9.0, -9.0], {"σ(f)": 0, "σ(i)": 0, "tanh(g)": 1, "σ(o)": 1}),
        ("gru", [9.0, 0.0, 0.0], {"r = σ": 1, "z = σ": 0, "n = tanh": 0}),
        ("gru", [0.0, -9.0, 9.0], {"r = σ": 0, "z = σ": 1, "n = tanh": 1}),
    ],
)
def test_each_gate_by_the_name_that_step_gives_it(name: str, bias: list[float], expected: dict[str, int]) -> None:
    found = shares(constant_cell(name, bias), torch.zeros(2, 3, 1))
    assert {label: found[label] for label in expected} == expected


def test_within_a_tenth_of_a_limit() -> None:
    cell = make_cell("rnn", 1, 1, activation="sigmoid")
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(cell.input_weight)
    values = torch.tensor([0.01, 0.0999, 0.1001, 0.5, 0.8999, 0.9001, 0.99, 0.3])
    found = shares(cell, torch.logit(values)[None, :, None])
    assert found == {"h = σ": 4 / 8}


def test_padding_does_not_count() -> None:
    cell = make_cell("rnn", 1, 1, bias=False)
    torch.nn.init.ones_(cell.input_weight)
    torch.nn.init.zeros_(cell.recurrent_weight)
    x = torch.full((2, 4, 1), 9.0)
    x[0, 1] = 0.0
    assert shares(cell, x, torch.tensor([2, 3])) == {"h = tanh": 4 / 5}  # 0 at the padded steps would be unsaturated


def test_what_is_computed_for_all_steps_at_once_is_seen_and_masked() -> None:
    class Gated(Cell):
        def __init__(self) -> None:
            super().__init__(1, 1, {"h": (1,)}, output_key="h")

        def project(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            z = torch.sigmoid(x)
            return z, x

        def step(self, p: tuple[torch.Tensor, ...], state: State) -> tuple[torch.Tensor, State]:
            h = p[0] * p[1] + (1 - p[0]) * state["h"]
            return h, {"h": h}

    x = torch.tensor([[[9.0], [9.0], [0.0]], [[0.0], [9.0], [9.0]]])
    assert shares(Gated(), x) == {"σ(x)": 4 / 6}
    assert shares(Gated(), x, torch.tensor([3, 1])) == {"σ(x)": 2 / 4}


def test_a_cell_whose_text_is_not_to_be_had() -> None:
    scope: dict[str, type[Cell]] = {}
    exec(
        "import torch\nfrom seqlab import Cell\n"
        "class Silent(Cell):\n"
        "    def __init__(self):\n        super().__init__(1, 1, {'h': (1,)}, output_key='h')\n"
        "    def step(self, p, state):\n        h = torch.sigmoid(p)\n        return h, {'h': h}\n",
        scope,
    )
    assert shares(scope["Silent"](), torch.zeros(1, 2, 1)) == {"σ": 0.0}  # pyright: ignore[reportCallIssue]
