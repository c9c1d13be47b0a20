"""A sequence from a sequence: encoder, bridge, decoder. Search is in seqlab.search, attention in seqlab.attention."""

from seqlab.seq2seq.bridge import Bridge
from seqlab.seq2seq.decoder import Decoder
from seqlab.seq2seq.teacher_forcing import TeacherForcing

__all__ = ["Bridge", "Decoder", "TeacherForcing"]
