"""The layer-normalised gated recurrent unit (Ba et al., 2016)."""

import numpy as np

from tests.oracles.functions import layer_norm, sigmoid


def gru_layer_norm(weights, x, state, epsilon=1e-5):
    H = len(state["h"])
    W_rz, W_n = np.split(weights["input_weight"], [2 * H])
    U_rz, U_n = np.split(weights["recurrent_weight"], [2 * H])
    b_rz, b_n = np.split(weights.get("bias", np.zeros(3 * H)), [2 * H])
    b_u = weights.get("recurrent_bias", np.zeros(H))
    a_x, a_nx = np.split(weights["input_gain"], [2 * H])
    a_h, a_nh = np.split(weights["recurrent_gain"], [2 * H])
    h, y = state["h"], []
    for x_t in x:
        r, z = np.split(sigmoid(a_x * layer_norm(W_rz @ x_t, epsilon) + a_h * layer_norm(U_rz @ h, epsilon) + b_rz), 2)
        n = np.tanh(a_nx * layer_norm(W_n @ x_t, epsilon) + b_n + r * (a_nh * layer_norm(U_n @ h, epsilon) + b_u))
        h = (1 - z) * h + z * n
        y.append(h)
    return np.array(y), {"h": h}
