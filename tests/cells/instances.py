"""Instances of the built-in cells whose every parameter is random, and their weights for the oracles."""

import torch

from seqlab import make_cell

OPTIONS = {  # besides the defaults, each set of options that changes a cell's equations
    "rnn": [{"activation": name} for name in ("relu", "sigmoid", "leaky_relu", "elu", "identity", "bipolar_sigmoid")] + [{"bias": False}],
    "irnn": [{"bias": False}],
    "rnn_concat": [{"output_size": 4}, {"bias": False}],
    "lstm": [{"bias": False}],
    "lstm_1997": [{"input_activation": "bipolar_sigmoid_2", "output_activation": "bipolar_sigmoid"}, {"bias": False}],
    "lstm_peephole": [
        {"cells_per_block": 3},
        {"gate_activation": "bipolar_sigmoid", "input_activation": "bipolar_sigmoid_2", "output_activation": "identity"},
        {"bias": False},
    ],
    "lstm_coupled": [{"bias": False}],
    "gru": [{"bias": False}],
    "gru_reset_after": [{"bias": False}],
    "min_gru": [{"bias": False}],
    "min_lstm": [{"bias": False}],
    "lru": [{"state_size": 5}],
    "lstm_layer_norm": [{"bias": False}, {"epsilon": 0.3}],
    "gru_layer_norm": [{"bias": False}, {"epsilon": 0.3}],
}


def random_cell(name, input_size, hidden_size, *, seed=0, **options):
    """A cell in float64 whose parameters are all drawn: what starts at zero would hide a bug that only it can show."""
    torch.manual_seed(seed)
    cell = make_cell(name, input_size, hidden_size, **options).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(std=0.5)
    return cell


def random_state(cell, batch_size):
    return {name: torch.randn(batch_size, *shape, dtype=torch.float64) for name, shape in cell.state_shapes.items()}


def arrays(tensors):
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def weights_of(cell):
    return arrays(dict(cell.named_parameters()))


def row(state, index):
    return {name: leaf[index] for name, leaf in state.items()}
