"""What turns the encoder's outputs into scores: (y (B, T, O), lengths) -> scores."""

from seqlab.heads.adaptive import AdaptiveHead
from seqlab.heads.crf import CRFHead
from seqlab.heads.pooled import PooledHead
from seqlab.heads.steps import StepHead
from seqlab.heads.tied import TiedHead
from seqlab.heads.with_loss import HeadWithLoss

__all__ = ["AdaptiveHead", "CRFHead", "HeadWithLoss", "PooledHead", "StepHead", "TiedHead"]
