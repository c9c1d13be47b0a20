"""A cell over time, in both directions, in stacks: every part has the one contract of SequenceModule."""

from seqlab.layers.bidirectional import Bidirectional
from seqlab.layers.contract import SequenceModule
from seqlab.layers.layer import Layer
from seqlab.layers.pyramid import Shortened, pyramid
from seqlab.layers.stack import Stack

__all__ = ["Bidirectional", "Layer", "SequenceModule", "Shortened", "Stack", "pyramid"]
