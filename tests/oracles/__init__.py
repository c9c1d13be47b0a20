"""Every built-in cell once more, as plain NumPy loops written from the equations of its source.

An oracle is a function (weights, x (T, I), state, **options) -> (y (T, O), final state) of one sequence, without a batch
axis: weights and state are {name: array} with the cell's own names, options those of its constructor that change the
equations. ORACLES maps each registered name to its oracle; a cell without one fails the tests.
"""

from collections.abc import Callable

from tests.oracles.gru import gru
from tests.oracles.gru_layer_norm import gru_layer_norm
from tests.oracles.gru_reset_after import gru_reset_after
from tests.oracles.lru import lru
from tests.oracles.lstm import lstm
from tests.oracles.lstm_1997 import lstm_1997
from tests.oracles.lstm_coupled import lstm_coupled
from tests.oracles.lstm_layer_norm import lstm_layer_norm
from tests.oracles.lstm_peephole import lstm_peephole
from tests.oracles.min_gru import min_gru
from tests.oracles.min_lstm import min_lstm
from tests.oracles.rnn import irnn, rnn
from tests.oracles.rnn_concat import rnn_concat

ORACLES: dict[str, Callable] = {
    "gru": gru,
    "gru_layer_norm": gru_layer_norm,
    "gru_reset_after": gru_reset_after,
    "irnn": irnn,
    "lru": lru,
    "lstm": lstm,
    "lstm_1997": lstm_1997,
    "lstm_coupled": lstm_coupled,
    "lstm_layer_norm": lstm_layer_norm,
    "lstm_peephole": lstm_peephole,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "rnn": rnn,
    "rnn_concat": rnn_concat,
}
