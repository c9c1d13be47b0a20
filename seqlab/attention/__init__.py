"""A weighted look at a source: `prepare(keys, mask)` once, then `attend(query)` at every step. Nothing is kept between calls."""

from seqlab.attention.additive import AdditiveAttention
from seqlab.attention.base import Attention, Memory
from seqlab.attention.local import LocalAttention
from seqlab.attention.location import LocationAttention
from seqlab.attention.products import DotAttention, GeneralAttention, ScaledDotAttention

__all__ = ["AdditiveAttention", "Attention", "DotAttention", "GeneralAttention", "LocalAttention", "LocationAttention", "Memory", "ScaledDotAttention"]
