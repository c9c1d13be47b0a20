"""The network of two linear maps of [x_t; h_{t−1}]."""

import numpy as np


def rnn_concat(weights, x, state):
    W_h = np.hstack([weights["input_weight"], weights["recurrent_weight"]])
    W_y = np.hstack([weights["output_input_weight"], weights["output_recurrent_weight"]])
    b_h, b_y = weights.get("bias", 0), weights.get("output_bias", 0)
    h, y = state["h"], []
    for x_t in x:
        k = np.concatenate([x_t, h])
        h = W_h @ k + b_h
        y.append(W_y @ k + b_y)
    return np.array(y), {"h": h}
