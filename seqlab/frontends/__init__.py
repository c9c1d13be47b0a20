"""What turns a batch's inputs into vectors per step: inputs -> (B, T, output_size)."""

from seqlab.frontends.base import Frontend
from seqlab.frontends.features import Features
from seqlab.frontends.tokens import Tokens

__all__ = ["Features", "Frontend", "Tokens"]
