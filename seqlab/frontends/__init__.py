"""What turns a batch's inputs into vectors per step: inputs -> (B, T, output_size)."""

from seqlab.frontends.base import Frontend
from seqlab.frontends.convolutions import Convolution, ConvolvedFeatures, NGrams
from seqlab.frontends.features import Features
from seqlab.frontends.image_convolutions import ImageConvolutions
from seqlab.frontends.log_mel import LogMel
from seqlab.frontends.sentences import Sentences
from seqlab.frontends.tokens import Embedding, Tokens
from seqlab.frontends.words import Words

__all__ = ["Convolution", "ConvolvedFeatures", "Embedding", "Features", "Frontend", "ImageConvolutions", "LogMel", "NGrams", "Sentences", "Tokens", "Words"]
