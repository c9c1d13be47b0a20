"""The weights of every attention, one query and one source at a time, in plain NumPy, from the equations of the papers."""

from __future__ import annotations

import numpy as np


def softmax(scores):
    parts = [np.exp(score - max(scores)) for score in scores]
    return np.array(parts) / sum(parts)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def additive(w, q, keys, previous):
    return softmax([w["score.weight"][0] @ np.tanh(w["query.weight"] @ q + w["key.weight"] @ k + w["key.bias"]) for k in keys])


def dot(w, q, keys, previous):
    return softmax([sum(q * k) for k in keys])


def scaled_dot(w, q, keys, previous):
    return softmax([sum(q * k) / len(k) ** 0.5 for k in keys])


def general(w, q, keys, previous):
    return softmax([q @ w["key.weight"] @ k for k in keys])


def local(w, q, keys, previous, window=2):
    centre = len(keys) * sigmoid(w["centre.weight"][0] @ np.tanh(w["position.weight"] @ q))
    near = [s for s in range(len(keys)) if abs(s - centre) <= window]
    aligned = softmax([q @ w["key.weight"] @ keys[s] for s in near])
    weights = np.zeros(len(keys))
    for s, value in zip(near, aligned, strict=True):
        weights[s] = value * np.exp(-((s - centre) ** 2) / (2 * (window / 2) ** 2))
    return weights


def location(w, q, keys, previous):
    filters = w["filters.weight"][:, 0]
    half = filters.shape[1] // 2
    padded = np.concatenate([np.zeros(half), previous, np.zeros(half)])
    scores = []
    for s, k in enumerate(keys):
        f = filters @ padded[s : s + 2 * half + 1]
        scores.append(w["score.weight"][0] @ np.tanh(w["query.weight"] @ q + w["key.weight"] @ k + w["key.bias"] + w["location.weight"] @ f))
    return softmax(scores)


WEIGHTS = {"additive": additive, "dot": dot, "scaled_dot": scaled_dot, "general": general, "local": local, "location": location}
