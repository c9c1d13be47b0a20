"""The LSTM with a forget gate (Gers, Schmidhuber and Cummins, 2000), forward, and backward through time by hand."""

import numpy as np

from tests.oracles.functions import sigmoid


def lstm(weights, x, state):
    W_i, W_f, W_g, W_o = np.split(weights["input_weight"], 4)
    U_i, U_f, U_g, U_o = np.split(weights["recurrent_weight"], 4)
    b_i, b_f, b_g, b_o = np.split(weights.get("bias", np.zeros(len(weights["input_weight"]))), 4)
    h, c, y = state["h"], state["c"], []
    for x_t in x:
        i = sigmoid(W_i @ x_t + U_i @ h + b_i)
        f = sigmoid(W_f @ x_t + U_f @ h + b_f)
        o = sigmoid(W_o @ x_t + U_o @ h + b_o)
        g = np.tanh(W_g @ x_t + U_g @ h + b_g)
        c = f * c + i * g
        h = o * np.tanh(c)
        y.append(h)
    return np.array(y), {"h": h, "c": c}


def lstm_backward(weights, x, state, d_y, d_state):
    """Gradients of a loss with respect to weights, x and the initial state, from those to y (T, H) and the final state."""
    W, U = weights["input_weight"], weights["recurrent_weight"]
    b = weights.get("bias", np.zeros(len(W)))
    h, c, gates = [state["h"]], [state["c"]], []
    for x_t in x:
        a_i, a_f, a_g, a_o = np.split(W @ x_t + U @ h[-1] + b, 4)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        gates.append((i, f, g, o))
        c.append(f * c[-1] + i * g)
        h.append(o * np.tanh(c[-1]))
    d_W, d_U, d_b, d_x = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b), np.zeros_like(x)
    d_h, d_c = d_state["h"], d_state["c"]
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        c_before, c_after = c[t], c[t + 1]
        d_h = d_h + d_y[t]
        d_c = d_c + d_h * o * (1 - np.tanh(c_after) ** 2)
        delta_o = d_h * np.tanh(c_after) * o * (1 - o)
        delta_i = d_c * g * i * (1 - i)
        delta_f = d_c * c_before * f * (1 - f)
        delta_g = d_c * i * (1 - g**2)
        delta = np.concatenate([delta_i, delta_f, delta_g, delta_o])
        d_W += np.outer(delta, x[t])
        d_U += np.outer(delta, h[t])
        d_b += delta
        d_x[t] = W.T @ delta
        d_h = U.T @ delta
        d_c = d_c * f
    return {"input_weight": d_W, "recurrent_weight": d_U, "bias": d_b}, d_x, {"h": d_h, "c": d_c}
