"""The simple recurrent network (Elman, 1990), forward, and backward through time by hand."""

import numpy as np

from tests.oracles.functions import ACTIVATIONS, sigmoid, softmax


def rnn(weights, x, state, activation="tanh"):
    phi, _ = ACTIVATIONS[activation]
    W, U, b = weights["input_weight"], weights["recurrent_weight"], weights.get("bias", 0)
    h, y = state["h"], []
    for x_t in x:
        h = phi(W @ x_t + U @ h + b)
        y.append(h)
    return np.array(y), {"h": h}


def irnn(weights, x, state):
    return rnn(weights, x, state, activation="relu")


def rnn_backward(weights, x, state, d_y, d_state, activation="tanh"):
    """Gradients of a loss with respect to weights, x and the initial state, from those to y (T, H) and the final state."""
    phi, phi_derivative = ACTIVATIONS[activation]
    W, U, b = weights["input_weight"], weights["recurrent_weight"], weights.get("bias", np.zeros(len(state["h"])))
    h, a = [state["h"]], []
    for x_t in x:
        a.append(W @ x_t + U @ h[-1] + b)
        h.append(phi(a[-1]))
    d_W, d_U, d_b, d_x = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b), np.zeros_like(x)
    d_h = d_state["h"]
    for t in reversed(range(len(x))):
        delta = (d_y[t] + d_h) * phi_derivative(a[t])
        d_W += np.outer(delta, x[t])
        d_U += np.outer(delta, h[t])  # h[t] is the state before step t
        d_b += delta
        d_x[t] = W.T @ delta
        d_h = U.T @ delta
    return {"input_weight": d_W, "recurrent_weight": d_U, "bias": d_b}, d_x, {"h": d_h}


def softmax_cross_entropy(weights, V, c, x, state, targets, activation="tanh"):
    """−Σ_t log softmax(V h_t + c)[targets_t] -> loss, gradients (of V, of c, of the cell's weights, of x, of the state)."""
    y, _ = rnn(weights, x, state, activation)
    loss, d_V, d_c, d_y = 0.0, np.zeros_like(V), np.zeros_like(c), np.zeros_like(y)
    for t, target in enumerate(targets):
        probability = softmax(V @ y[t] + c)
        loss -= np.log(probability[target])
        delta = probability.copy()
        delta[target] -= 1
        d_V += np.outer(delta, y[t])
        d_c += delta
        d_y[t] = V.T @ delta
    return loss, (d_V, d_c, *rnn_backward(weights, x, state, d_y, {"h": np.zeros_like(state["h"])}, activation))


def squared_error_through_sigmoid(weights, V, x, state, targets, activation="sigmoid"):
    """½ Σ_t |σ(V h_t) − targets_t|², as in the binary adder -> loss, gradients (of V, the cell's weights, x, the state)."""
    y, _ = rnn(weights, x, state, activation)
    loss, d_V, d_y = 0.0, np.zeros_like(V), np.zeros_like(y)
    for t, target in enumerate(targets):
        output = sigmoid(V @ y[t])
        loss += 0.5 * ((output - target) ** 2).sum()
        delta = (output - target) * output * (1 - output)
        d_V += np.outer(delta, y[t])
        d_y[t] = V.T @ delta
    return loss, (d_V, *rnn_backward(weights, x, state, d_y, {"h": np.zeros_like(state["h"])}, activation))
