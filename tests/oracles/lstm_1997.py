"""The LSTM without a forget gate (Hochreiter and Schmidhuber, 1997)."""

import numpy as np

from tests.oracles.functions import ACTIVATIONS, sigmoid


def lstm_1997(weights, x, state, input_activation="tanh", output_activation="tanh"):
    g, squash = ACTIVATIONS[input_activation][0], ACTIVATIONS[output_activation][0]
    W_i, W_g, W_o = np.split(weights["input_weight"], 3)
    U_i, U_g, U_o = np.split(weights["recurrent_weight"], 3)
    b_i, b_g, b_o = np.split(weights.get("bias", np.zeros(len(weights["input_weight"]))), 3)
    h, c, y = state["h"], state["c"], []
    for x_t in x:
        i = sigmoid(W_i @ x_t + U_i @ h + b_i)
        o = sigmoid(W_o @ x_t + U_o @ h + b_o)
        c = c + i * g(W_g @ x_t + U_g @ h + b_g)
        h = o * squash(c)
        y.append(h)
    return np.array(y), {"h": h, "c": c}
