"""What turns the encoder's outputs into scores: (y (B, T, O), lengths) -> scores."""

from seqlab.heads.pooled import PooledHead
from seqlab.heads.steps import StepHead

__all__ = ["PooledHead", "StepHead"]
