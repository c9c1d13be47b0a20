"""How a sequence is written symbol by symbol from a model's scores. Dimension key: B batch, V vocabulary."""

from seqlab.search.sampling import Sampling, Step, sample

__all__ = ["Sampling", "Step", "sample"]
