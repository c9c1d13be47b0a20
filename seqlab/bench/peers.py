"""Other libraries as sides: flax nnx.RNN under jit, Keras 3 RNN(cell). Used where they are installed, never required."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np

from seqlab.bench.sides import Side, Size
from seqlab.registry import unknown

FLAX_CELLS = {"lstm": "OptimizedLSTMCell", "gru": "GRUCell", "rnn": "SimpleCell"}
KERAS_CELLS = {"lstm": "LSTMCell", "gru": "GRUCell", "rnn": "SimpleRNNCell"}


def peer_side(library: str, cell: str, size: Size, mode: str) -> Side:
    """flax:CELL or keras:CELL as a side. Raises ValueError when the library is missing or has no such cell."""
    if importlib.util.find_spec(library) is None:
        raise ValueError(f"{library} is not installed, so {library}:{cell} cannot run. Install it, or leave the side out.")
    cells = FLAX_CELLS if library == "flax" else KERAS_CELLS
    if cell not in cells:
        raise ValueError(f"{unknown(f'{library} cell', cell, list(cells))} {library}:{cell} cannot run.")
    x = np.random.default_rng(0).standard_normal((size.batch_size, 1 if mode == "streaming" else size.num_steps, size.input_size), np.float32)
    return (_flax if library == "flax" else _keras)(f"{library}:{cell}", cells[cell], x, size, mode)


def _flax(name: str, cell: str, x: np.ndarray, size: Size, mode: str) -> Side:
    jax: Any = importlib.import_module("jax")
    nnx: Any = importlib.import_module("flax.nnx")
    rnn = nnx.RNN(getattr(nnx, cell)(size.input_size, size.hidden_size, rngs=nnx.Rngs(0)), return_carry=True)
    graph, parameters, rest = nnx.split(rnn, nnx.Param, ...)
    inputs = jax.numpy.asarray(x)
    gradient = jax.numpy.asarray(np.random.default_rng(1).standard_normal((*x.shape[:2], size.hidden_size), np.float32))

    zeros = jax.tree.map(jax.numpy.zeros_like, rnn.cell.initialize_carry((size.batch_size, size.input_size), nnx.Rngs(0)))

    def forward(parameters: Any, carry: Any = zeros) -> Any:
        return nnx.merge(graph, parameters, rest)(inputs, initial_carry=carry)

    if mode == "training":
        step = jax.jit(jax.grad(lambda parameters: (forward(parameters)[1] * gradient).sum()))
        return Side(name, lambda: jax.block_until_ready(step(parameters)), note=f"jax {jax.__version__}")
    run = jax.jit(forward)
    if mode == "inference":
        return Side(name, lambda: jax.block_until_ready(run(parameters)), note=f"jax {jax.__version__}")
    carried = [jax.block_until_ready(run(parameters))[0]]

    def stream() -> None:
        carried[0] = jax.block_until_ready(run(parameters, carried[0]))[0]

    return Side(name, stream, note=f"jax {jax.__version__}")


def _keras(name: str, cell: str, x: np.ndarray, size: Size, mode: str) -> Side:
    keras: Any = importlib.import_module("keras")
    if keras.backend.backend() != "torch":
        raise ValueError(f"keras runs on {keras.backend.backend()}, so {name} cannot run beside torch. Set KERAS_BACKEND=torch.")
    torch: Any = importlib.import_module("torch")
    rnn = keras.layers.RNN(getattr(keras.layers, cell)(size.hidden_size), return_sequences=True, return_state=True)
    inputs = torch.from_numpy(x)
    rnn(inputs)
    gradient = torch.randn(*x.shape[:2], size.hidden_size)
    weights = [v.value for v in rnn.trainable_variables]

    def train() -> None:
        torch.autograd.grad(rnn(inputs, training=True)[0], weights, gradient)

    carried: list[Any] = [None]

    def infer() -> None:
        with torch.no_grad():
            carried[0] = list(rnn(inputs, initial_state=carried[0] if mode == "streaming" else None)[1:])

    return Side(name, train if mode == "training" else infer, note=f"keras {keras.__version__} on torch")
