"""Squashing functions and their derivatives, in NumPy."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def softmax(a):
    e = np.exp(a - a.max())
    return e / e.sum()


def layer_norm(a, epsilon):
    return (a - a.mean()) / np.sqrt(a.var() + epsilon)


def sigmoid_derivative(a):
    return sigmoid(a) * (1 - sigmoid(a))


ACTIVATIONS = {  # name: (function, derivative with respect to its argument)
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "relu": (lambda a: np.maximum(a, 0), lambda a: np.where(a > 0, 1.0, 0.0)),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "leaky_relu": (lambda a: np.where(a > 0, a, 0.01 * a), lambda a: np.where(a > 0, 1.0, 0.01)),
    "elu": (lambda a: np.where(a > 0, a, np.exp(a) - 1), lambda a: np.where(a > 0, 1.0, np.exp(a))),
    "identity": (lambda a: a, lambda a: np.ones_like(a)),
    "bipolar_sigmoid": (lambda a: 2 * sigmoid(a) - 1, lambda a: 2 * sigmoid_derivative(a)),
    "bipolar_sigmoid_2": (lambda a: 4 * sigmoid(a) - 2, lambda a: 4 * sigmoid_derivative(a)),
}
