"""What implementations of the same name do differently, each pinned down."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlab import Layer, make_cell
from seqlab.cells.convert import load_torch_weights
from seqlab.registry import list_cells
from tests.cells.instances import random_cell, random_state, row, weights_of
from tests.oracles.functions import sigmoid

BUILTIN = [info.name for info in list_cells() if info.origin == "seqlab"]
CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # float64 rounding of a few short sums
SHUT, OPEN = -100.0, 100.0  # σ is 0 and 1 to all digits of float64


def one_step(cell, x, state):
    with torch.no_grad():
        return cell.step(cell.project(x), state)


def set_gate(cell, gate, pre_activation):
    """Pin a gate: its weights to zero and its bias to a value."""
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            if name in ("input_weight", "recurrent_weight", "bias"):
                weight.chunk(len(cell.gates))[cell.gates.index(gate)].fill_(pre_activation if name == "bias" else 0.0)


class TestGRU:
    """Reset before or after the product, one or two biases on n, z on the old or on the new value."""

    @staticmethod
    def pair(recurrent_candidate):
        """torch.nn.GRU without b_u, and our `gru` with the same weights but the sign of z turned."""
        torch.manual_seed(0)
        theirs = nn.GRU(3, 4, batch_first=True).double()
        cell = random_cell("gru", 3, 4)
        with torch.no_grad():
            theirs.weight_hh_l0[8:] *= recurrent_candidate
            theirs.bias_hh_l0[8:] = 0
            sign = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64).repeat_interleave(4)
            cell.input_weight.copy_(sign[:, None] * theirs.weight_ih_l0)
            cell.recurrent_weight.copy_(sign[:, None] * theirs.weight_hh_l0)
            cell.bias.copy_(sign * (theirs.bias_ih_l0 + theirs.bias_hh_l0))
        x, h = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
        return Layer(cell, "loop")(x, state={"h": h})[0], theirs(x, h[None])[0]

    def test_gru_is_torchs_but_for_the_sign_of_z_where_the_place_of_the_reset_does_not_matter(self):
        ours, theirs = self.pair(recurrent_candidate=0)
        torch.testing.assert_close(ours, theirs, **CLOSE)

    def test_gru_is_not_torchs_where_it_matters(self):
        ours, theirs = self.pair(recurrent_candidate=1)
        assert (ours - theirs).abs().max() > 1e-3

    def test_gru_reset_after_is_torchs(self):
        theirs = nn.GRU(3, 4, batch_first=True).double()
        cell = make_cell("gru_reset_after", 3, 4).double()
        load_torch_weights(cell, theirs)
        x, h = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
        torch.testing.assert_close(Layer(cell, "loop")(x, state={"h": h})[0], theirs(x, h[None])[0], **CLOSE)

    @pytest.mark.parametrize(("name", "keeps_old"), [("gru", False), ("gru_reset_after", True), ("min_gru", False)])
    def test_what_an_open_update_gate_keeps(self, name, keeps_old):
        cell = random_cell(name, 3, 4)
        set_gate(cell, "update", OPEN)
        x, state = torch.randn(2, 3, dtype=torch.float64), random_state(cell, 2)
        _, last = one_step(cell, x, state)
        assert torch.allclose(last["h"], state["h"]) == keeps_old

    @pytest.mark.parametrize("name", ["gru", "gru_reset_after"])
    def test_a_shut_reset_gate_hides_the_past_from_the_candidate(self, name):
        cell = random_cell(name, 3, 4)
        set_gate(cell, "reset", SHUT)
        set_gate(cell, "update", OPEN if name == "gru" else SHUT)
        x = torch.randn(2, 3, dtype=torch.float64)
        _, last = one_step(cell, x, random_state(cell, 2))
        expected = torch.tanh(x @ cell.input_weight[8:].T + cell.bias[8:])  # b_u is hidden too: it is inside r ⊙ (…)
        torch.testing.assert_close(last["h"], expected, **CLOSE)

    def test_cho_2014_is_gru_with_the_sign_of_z_turned(self):
        cell = random_cell("gru", 3, 4)
        x, state = torch.randn(1, 6, 3, dtype=torch.float64), random_state(cell, 1)
        weights = weights_of(cell)
        W, U, b = ([part.copy() for part in np.split(weights[name], 3)] for name in ("input_weight", "recurrent_weight", "bias"))
        h = state["h"][0].numpy()
        for x_t in x[0].numpy():  # Cho et al., 2014, eqs 5–8: h = z ⊙ h_{t−1} + (1 − z) ⊙ n
            r, z = (sigmoid(sign * (W[k] @ x_t + U[k] @ h + b[k])) for k, sign in ((0, 1), (1, -1)))
            h = z * h + (1 - z) * np.tanh(W[2] @ x_t + U[2] @ (r * h) + b[2])
        _, last = Layer(cell, "loop")(x, state=state)
        np.testing.assert_allclose(last["h"][0].detach().numpy(), h, **CLOSE)


class TestLSTM:
    """Gate order: torch i f g o, Keras i f c o, ONNX i o f c."""

    def test_gates_are_stacked_in_the_order_of_torch(self):
        assert make_cell("lstm", 1, 1).gates == ("input", "forget", "cell", "output")
        theirs = nn.LSTM(3, 4, batch_first=True).double()
        cell = make_cell("lstm", 3, 4).double()
        load_torch_weights(cell, theirs)
        assert torch.equal(cell.recurrent_weight, theirs.weight_hh_l0)
        x = torch.randn(2, 5, 3, dtype=torch.float64)
        torch.testing.assert_close(Layer(cell, "loop")(x)[0], theirs(x)[0], **CLOSE)

    @pytest.mark.parametrize("name", ["lstm", "lstm_peephole", "lstm_coupled", "lstm_1997"])
    def test_each_gate_does_what_its_name_says(self, name):
        x = torch.randn(2, 3, dtype=torch.float64)
        shut_output, shut_input, shut_forget = (random_cell(name, 3, 4, seed=0) for _ in range(3))
        state = random_state(shut_output, 2)
        set_gate(shut_output, "output", SHUT)
        if name == "lstm_peephole":
            with torch.no_grad():
                for cell in (shut_output, shut_input, shut_forget):
                    cell.peephole.zero_()
        assert one_step(shut_output, x, state)[0].abs().max() < 1e-30
        if name != "lstm_1997":
            set_gate(shut_forget, "forget", SHUT)
            for changed in (state["c"], state["c"] + 1):
                got = one_step(shut_forget, x, {**state, "c": changed})[1]["c"]
                torch.testing.assert_close(got, one_step(shut_forget, x, state)[1]["c"], **CLOSE)
        if name != "lstm_coupled":
            set_gate(shut_input, "input", SHUT)
            if "forget" in shut_input.gates:
                set_gate(shut_input, "forget", OPEN)
            torch.testing.assert_close(one_step(shut_input, x, state)[1]["c"], state["c"], **CLOSE)

    def test_the_forget_bias_is_on_the_forget_gate(self):
        for name in ("lstm", "lstm_peephole", "lstm_coupled"):
            cell = make_cell(name, 3, 4, forget_bias=2.5)
            for gate, bias in zip(cell.gates, cell.bias.chunk(len(cell.gates)), strict=True):
                assert (bias == (2.5 if gate == "forget" else 0.0)).all(), (name, gate)

    def test_coupled_gates_sum_to_one(self):
        """With c_{t−1} = g = 1 (to all digits), c_t = f + (1 − f) = 1 whatever the gate says."""
        cell = random_cell("lstm_coupled", 3, 4)
        set_gate(cell, "cell", OPEN)
        state = {**random_state(cell, 2), "c": torch.ones(2, 4, dtype=torch.float64)}
        _, last = one_step(cell, torch.randn(2, 3, dtype=torch.float64), state)
        torch.testing.assert_close(last["c"], torch.ones_like(last["c"]), **CLOSE)

    def test_the_cell_of_1997_never_forgets(self):
        """dc_T / dc_0 is exactly 1 on the carousel, when h does not feed back."""
        cell = random_cell("lstm_1997", 3, 4)
        with torch.no_grad():
            cell.recurrent_weight.zero_()
        state = {name: leaf.requires_grad_() for name, leaf in random_state(cell, 1).items()}
        _, last = Layer(cell, "loop")(torch.randn(1, 50, 3, dtype=torch.float64), state=state)
        assert torch.equal(torch.autograd.grad(last["c"].sum(), state["c"])[0], torch.ones(1, 4, dtype=torch.float64))


class TestPeephole:
    """p_i and p_f look at c_{t−1}, p_o at c_t."""

    @staticmethod
    def after(row_of_peephole, c_0, num_steps=1):
        """h with and without one gate's peepholes, from a given c_0."""
        cell = random_cell("lstm_peephole", 3, 4)
        x = torch.randn(1, num_steps, 3, dtype=torch.float64)
        state = {"h": torch.zeros(1, 4, dtype=torch.float64), "c": torch.full((1, 4), c_0, dtype=torch.float64)}
        layer = Layer(cell, "loop")
        with torch.no_grad():
            with_it = layer(x, state=state)[1]["h"]
            cell.peephole[row_of_peephole] = 0
            return with_it, layer(x, state=state)[1]["h"]

    @pytest.mark.parametrize("gate", [0, 1], ids=["input", "forget"])
    def test_input_and_forget_gate_see_the_old_state(self, gate):
        with_it, without = self.after(gate, c_0=0.0)
        assert torch.equal(with_it, without)  # c_0 = 0 is all they see in the first step
        with_it, without = self.after(gate, c_0=1.0)
        assert (with_it - without).abs().max() > 1e-3
        with_it, without = self.after(gate, c_0=0.0, num_steps=2)
        assert (with_it - without).abs().max() > 1e-4

    def test_the_output_gate_sees_the_new_state(self):
        with_it, without = self.after(2, c_0=0.0)
        assert (with_it - without).abs().max() > 1e-3

    def test_without_peepholes_it_is_lstm(self):
        peephole, plain = random_cell("lstm_peephole", 3, 4), make_cell("lstm", 3, 4).double()
        with torch.no_grad():
            peephole.peephole.zero_()
        plain.load_state_dict({name: value for name, value in peephole.state_dict().items() if name != "peephole"})
        x, state = torch.randn(2, 5, 3, dtype=torch.float64), random_state(plain, 2)
        torch.testing.assert_close(Layer(peephole, "loop")(x, state=state)[0], Layer(plain, "loop")(x, state=state)[0], **CLOSE)

    def test_a_block_has_one_gate_of_each_kind_for_its_cells(self):
        cell = make_cell("lstm_peephole", 3, 6, cells_per_block=3)
        assert cell.gates == ("input", "forget", "cell", "cell", "cell", "output")
        assert cell.input_weight.shape == (2 + 2 + 6 + 2, 3)
        assert cell.peephole.shape == (3, 6)


class TestOthers:
    def test_y_of_rnn_concat_sees_the_state_before(self):
        cell = random_cell("rnn_concat", 3, 4)
        x, state = torch.randn(2, 3, dtype=torch.float64), random_state(cell, 2)
        before = one_step(cell, x, state)
        with torch.no_grad():
            cell.recurrent_weight.zero_()
            cell.bias.zero_()
        after = one_step(cell, x, state)
        assert torch.equal(before[0], after[0])
        assert not torch.allclose(before[1]["h"], after[1]["h"])

    def test_rnn_concat_is_two_linear_maps_of_the_joined_vector(self):
        cell = random_cell("rnn_concat", 3, 4, output_size=2)
        i2h, i2o = nn.Linear(7, 4).double(), nn.Linear(7, 2).double()
        with torch.no_grad():
            i2h.weight.copy_(torch.cat([cell.input_weight, cell.recurrent_weight], 1))
            i2o.weight.copy_(torch.cat([cell.output_input_weight, cell.output_recurrent_weight], 1))
            i2h.bias.copy_(cell.bias)
            i2o.bias.copy_(cell.output_bias)
        x, state = torch.randn(2, 3, dtype=torch.float64), random_state(cell, 2)
        k = torch.cat([x, state["h"]], 1)
        y, last = one_step(cell, x, state)
        torch.testing.assert_close(y, i2o(k), **CLOSE)
        torch.testing.assert_close(last["h"], i2h(k), **CLOSE)

    @pytest.mark.parametrize("name", BUILTIN)
    def test_step_draws_no_random_numbers(self, name):
        cell = random_cell(name, 3, 4).train()
        p = cell.project(torch.randn(2, 3, dtype=torch.float64))
        state, before = random_state(cell, 2), torch.get_rng_state()
        first, second = cell.step(p, state)[0], cell.step(p, state)[0]
        assert torch.equal(first, second)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_row_does_not_see_the_others(self):
        """The oracles take one row; a batch of rows is the rows alone."""
        cell = random_cell("lstm_peephole", 3, 4, cells_per_block=2)
        x, state = torch.randn(3, 5, 3, dtype=torch.float64), random_state(cell, 3)
        together = Layer(cell, "loop")(x, state=state)[0]
        alone = [Layer(cell, "loop")(x[b : b + 1], state={k: v[None] for k, v in row(state, b).items()})[0] for b in range(3)]
        torch.testing.assert_close(together, torch.cat(alone), **CLOSE)
