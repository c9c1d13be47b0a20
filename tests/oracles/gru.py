"""The gated recurrent unit (Chung et al., 2014), forward, and backward through time by hand."""

import numpy as np

from tests.oracles.functions import sigmoid


def gru(weights, x, state):
    W_r, W_z, W_n = np.split(weights["input_weight"], 3)
    U_r, U_z, U_n = np.split(weights["recurrent_weight"], 3)
    b_r, b_z, b_n = np.split(weights.get("bias", np.zeros(len(weights["input_weight"]))), 3)
    h, y = state["h"], []
    for x_t in x:
        r = sigmoid(W_r @ x_t + U_r @ h + b_r)
        z = sigmoid(W_z @ x_t + U_z @ h + b_z)
        n = np.tanh(W_n @ x_t + U_n @ (r * h) + b_n)
        h = (1 - z) * h + z * n
        y.append(h)
    return np.array(y), {"h": h}


def gru_backward(weights, x, state, d_y, d_state):
    """Gradients of a loss with respect to weights, x and the initial state, from those to y (T, H) and the final state."""
    W, U = weights["input_weight"], weights["recurrent_weight"]
    W_r, W_z, W_n = np.split(W, 3)
    U_r, U_z, U_n = np.split(U, 3)
    b_r, b_z, b_n = np.split(weights.get("bias", np.zeros(len(W))), 3)
    h, gates = [state["h"]], []
    for x_t in x:
        r = sigmoid(W_r @ x_t + U_r @ h[-1] + b_r)
        z = sigmoid(W_z @ x_t + U_z @ h[-1] + b_z)
        n = np.tanh(W_n @ x_t + U_n @ (r * h[-1]) + b_n)
        gates.append((r, z, n))
        h.append((1 - z) * h[-1] + z * n)
    d_W, d_U, d_b, d_x = np.zeros_like(W), np.zeros_like(U), np.zeros(len(W)), np.zeros_like(x)
    d_h = d_state["h"]
    for t in reversed(range(len(x))):
        r, z, n = gates[t]
        before = h[t]
        d_h = d_h + d_y[t]
        delta_n = d_h * z * (1 - n**2)
        delta_z = d_h * (n - before) * z * (1 - z)
        d_reset = U_n.T @ delta_n  # gradient to r ⊙ h_{t−1}
        delta_r = d_reset * before * r * (1 - r)
        delta = np.concatenate([delta_r, delta_z, delta_n])
        d_W += np.outer(delta, x[t])
        d_U += np.concatenate([np.outer(delta_r, before), np.outer(delta_z, before), np.outer(delta_n, r * before)])
        d_b += delta
        d_x[t] = W.T @ delta
        d_h = d_h * (1 - z) + d_reset * r + U_r.T @ delta_r + U_z.T @ delta_z
    return {"input_weight": d_W, "recurrent_weight": d_U, "bias": d_b}, d_x, {"h": d_h}
