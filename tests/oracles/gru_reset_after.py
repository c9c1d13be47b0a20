"""The gated recurrent unit of cuDNN and torch.nn.GRU, with the reset after the product and two biases on n."""

import numpy as np

from tests.oracles.functions import sigmoid


def gru_reset_after(weights, x, state):
    W_r, W_z, W_n = np.split(weights["input_weight"], 3)
    U_r, U_z, U_n = np.split(weights["recurrent_weight"], 3)
    b_r, b_z, b_n = np.split(weights.get("bias", np.zeros(len(weights["input_weight"]))), 3)
    b_u = weights.get("recurrent_bias", 0)
    h, y = state["h"], []
    for x_t in x:
        r = sigmoid(W_r @ x_t + U_r @ h + b_r)
        z = sigmoid(W_z @ x_t + U_z @ h + b_z)
        n = np.tanh(W_n @ x_t + b_n + r * (U_n @ h + b_u))
        h = (1 - z) * n + z * h
        y.append(h)
    return np.array(y), {"h": h}
