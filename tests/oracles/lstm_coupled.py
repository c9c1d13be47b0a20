"""The LSTM with the coupled input and forget gate, i = 1 − f (Greff et al., 2017)."""

import numpy as np

from tests.oracles.functions import sigmoid


def lstm_coupled(weights, x, state):
    W_f, W_g, W_o = np.split(weights["input_weight"], 3)
    U_f, U_g, U_o = np.split(weights["recurrent_weight"], 3)
    b_f, b_g, b_o = np.split(weights.get("bias", np.zeros(len(weights["input_weight"]))), 3)
    h, c, y = state["h"], state["c"], []
    for x_t in x:
        f = sigmoid(W_f @ x_t + U_f @ h + b_f)
        i = 1 - f
        o = sigmoid(W_o @ x_t + U_o @ h + b_o)
        g = np.tanh(W_g @ x_t + U_g @ h + b_g)
        c = f * c + i * g
        h = o * np.tanh(c)
        y.append(h)
    return np.array(y), {"h": h, "c": c}
