"""The layer-normalised long short-term memory (Ba et al., 2016)."""

import numpy as np

from tests.oracles.functions import layer_norm, sigmoid


def lstm_layer_norm(weights, x, state, epsilon=1e-5):
    W, U = weights["input_weight"], weights["recurrent_weight"]
    b = weights.get("bias", np.zeros(len(W)))
    h, c, y = state["h"], state["c"], []
    for x_t in x:
        a = layer_norm(W @ x_t, epsilon) * weights["input_gain"] + layer_norm(U @ h, epsilon) * weights["recurrent_gain"] + b
        a_i, a_f, a_g, a_o = np.split(a, 4)
        c = sigmoid(a_f) * c + sigmoid(a_i) * np.tanh(a_g)
        h = sigmoid(a_o) * np.tanh(layer_norm(c, epsilon) * weights["cell_gain"] + weights["cell_shift"])
        y.append(h)
    return np.array(y), {"h": h, "c": c}
