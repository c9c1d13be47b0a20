"""The linear recurrent unit (Orvieto et al., 2023), in complex numbers."""

import numpy as np


def lru(weights, x, state):
    lam = np.exp(-np.exp(weights["nu"]) + 1j * np.exp(weights["theta"]))
    gamma = np.sqrt(1 - np.abs(lam) ** 2)
    B_re, B_im = np.split(weights["input_weight"], 2)
    C_re, minus_C_im = np.split(weights["output_weight"], 2, axis=1)
    B, C, D = B_re + 1j * B_im, C_re - 1j * minus_C_im, weights["skip_weight"]
    h_re, h_im = np.split(state["h"], 2)
    h, y = h_re + 1j * h_im, []
    for x_t in x:
        h = lam * h + gamma * (B @ x_t)
        y.append((C @ h).real + (D * x_t if D.ndim == 1 else D @ x_t))
    return np.array(y), {"h": np.concatenate([h.real, h.imag])}
