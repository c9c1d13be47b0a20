"""The minimal LSTM (Feng et al., 2024)."""

import numpy as np

from tests.oracles.functions import sigmoid
from tests.oracles.min_gru import g


def min_lstm(weights, x, state):
    W_f, W_i, W_n = np.split(weights["input_weight"], 3)
    b_f, b_i, b_n = np.split(weights.get("bias", np.zeros(len(weights["input_weight"]))), 3)
    h, y = state["h"], []
    for x_t in x:
        f = sigmoid(W_f @ x_t + b_f)
        i = sigmoid(W_i @ x_t + b_i)
        n = g(W_n @ x_t + b_n)
        h = f / (f + i) * h + i / (f + i) * n
        y.append(h)
    return np.array(y), {"h": h}
