"""The LSTM with peepholes (Graves, 2012), forward by eqs 4.2–4.10 and backward by eqs 4.11–4.16, in loops over blocks.

His letters: a activation, b output, s state of a memory cell; ι, φ, ω the input, forget and output gate of a block, and c
one of its cells; f, g, h the squashing functions; ε_c = ∂L/∂b_c, ε_s = ∂L/∂s_c, δ = ∂L/∂a.
"""

from types import SimpleNamespace

import numpy as np

from tests.oracles.functions import ACTIVATIONS

FUNCTIONS = {"gate_activation": "sigmoid", "input_activation": "tanh", "output_activation": "tanh"}


def lstm_peephole(weights, x, state, cells_per_block=1, **functions):
    v = _by_unit(weights, cells_per_block)
    b, s, y = state["h"], state["c"], []
    for x_t in x:
        step = _forward_step(v, x_t, b, s, functions)
        b, s = step.b_c, step.s
        y.append(b)
    return np.array(y), {"h": b, "c": s}


def _by_unit(weights, C):
    """The weights into each unit. Cell k of block n has the number k · N + n, and gates one row for each block."""
    rows, H = weights["recurrent_weight"].shape
    N = H // C
    assert rows == N * (3 + C)
    first = {"ι": 0, "φ": N, "c": 2 * N, "ω": 2 * N + H}
    count = {"ι": N, "φ": N, "c": H, "ω": N}

    def of(name):
        whole = weights.get(name, np.zeros(rows))
        return {unit: whole[first[unit] : first[unit] + count[unit]] for unit in first}

    peephole = dict(zip("ιφω", weights["peephole"], strict=True))
    blocks = [[k * N + n for k in range(C)] for n in range(N)]
    return SimpleNamespace(W=of("input_weight"), U=of("recurrent_weight"), bias=of("bias"), p=peephole, blocks=blocks, H=H, N=N)


def _forward_step(v, x_t, b_before, s_before, functions):
    f, g, h = (ACTIVATIONS[{**FUNCTIONS, **functions}[which]][0] for which in FUNCTIONS)
    step = SimpleNamespace(a={unit: v.W[unit] @ x_t + v.U[unit] @ b_before + v.bias[unit] for unit in "ιφcω"})
    step.s, step.b_c = np.zeros(v.H), np.zeros(v.H)
    step.b = {gate: np.zeros(v.N) for gate in "ιφω"}
    for n, cells in enumerate(v.blocks):
        for gate in "ιφ":
            for c in cells:
                step.a[gate][n] += v.p[gate][c] * s_before[c]  # 4.2, 4.4: the state before this step
            step.b[gate][n] = f(step.a[gate][n])  # 4.3, 4.5
        for c in cells:
            step.s[c] = step.b["φ"][n] * s_before[c] + step.b["ι"][n] * g(step.a["c"][c])  # 4.6, 4.7
        for c in cells:
            step.a["ω"][n] += v.p["ω"][c] * step.s[c]  # 4.8: the state after this step
        step.b["ω"][n] = f(step.a["ω"][n])  # 4.9
        for c in cells:
            step.b_c[c] = step.b["ω"][n] * h(step.s[c])  # 4.10
    return step


def lstm_peephole_backward(weights, x, state, d_y, d_state, cells_per_block=1, **functions):
    """Gradients of a loss with respect to weights, x and the initial state, from those to y (T, H) and the final state."""
    v = _by_unit(weights, cells_per_block)
    (_, df), (g, dg), (h, dh) = (ACTIVATIONS[{**FUNCTIONS, **functions}[which]] for which in FUNCTIONS)
    b, s, steps = [state["h"]], [state["c"]], []
    for x_t in x:
        steps.append(_forward_step(v, x_t, b[-1], s[-1], functions))
        b.append(steps[-1].b_c)
        s.append(steps[-1].s)

    d_W = {unit: np.zeros_like(v.W[unit]) for unit in "ιφcω"}
    d_U = {unit: np.zeros_like(v.U[unit]) for unit in "ιφcω"}
    d_bias = {unit: np.zeros_like(v.bias[unit]) for unit in "ιφcω"}
    d_p = {gate: np.zeros(v.H) for gate in "ιφω"}
    d_x = np.zeros_like(x)
    through_b, through_s = d_state["h"], d_state["c"]  # what the steps after t send to b_c and to s
    for t in reversed(range(len(x))):
        step, s_before = steps[t], s[t]
        delta = {unit: np.zeros_like(step.a[unit]) for unit in "ιφcω"}
        to_s_before = np.zeros(v.H)
        eps_c = d_y[t] + through_b  # 4.11
        for n, cells in enumerate(v.blocks):
            delta["ω"][n] = df(step.a["ω"][n]) * sum(h(step.s[c]) * eps_c[c] for c in cells)  # 4.12
            eps_s = {c: step.b["ω"][n] * dh(step.s[c]) * eps_c[c] + v.p["ω"][c] * delta["ω"][n] + through_s[c] for c in cells}  # 4.13
            for c in cells:
                delta["c"][c] = step.b["ι"][n] * dg(step.a["c"][c]) * eps_s[c]  # 4.14
            delta["φ"][n] = df(step.a["φ"][n]) * sum(s_before[c] * eps_s[c] for c in cells)  # 4.15
            delta["ι"][n] = df(step.a["ι"][n]) * sum(g(step.a["c"][c]) * eps_s[c] for c in cells)  # 4.16
            for c in cells:
                to_s_before[c] = step.b["φ"][n] * eps_s[c] + v.p["ι"][c] * delta["ι"][n] + v.p["φ"][c] * delta["φ"][n]  # rest of 4.13
                d_p["ι"][c] += delta["ι"][n] * s_before[c]
                d_p["φ"][c] += delta["φ"][n] * s_before[c]
                d_p["ω"][c] += delta["ω"][n] * step.s[c]
        through_s = to_s_before
        through_b = sum(v.U[unit].T @ delta[unit] for unit in "ιφcω")
        d_x[t] = sum(v.W[unit].T @ delta[unit] for unit in "ιφcω")
        for unit in "ιφcω":
            d_W[unit] += np.outer(delta[unit], x[t])
            d_U[unit] += np.outer(delta[unit], b[t])
            d_bias[unit] += delta[unit]
    stacked = {"input_weight": d_W, "recurrent_weight": d_U, "bias": d_bias}
    gradients = {name: np.concatenate([parts[unit] for unit in "ιφcω"]) for name, parts in stacked.items()}
    gradients["peephole"] = np.array([d_p[gate] for gate in "ιφω"])
    return gradients, d_x, {"h": through_b, "c": through_s}
