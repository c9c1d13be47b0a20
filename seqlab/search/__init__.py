"""How a sequence is written symbol by symbol from a model's scores. Dimension key: B batch, V vocabulary."""

from seqlab.search.beam import SHARED, WEIGHTS, Beam, Hypothesis, beam_search, greedy
from seqlab.search.sampling import Sampling, Step, sample

__all__ = ["SHARED", "WEIGHTS", "Beam", "Hypothesis", "Sampling", "Step", "beam_search", "greedy", "sample"]
