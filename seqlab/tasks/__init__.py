"""What is learned: a LightningModule per kind of target. Loss, metrics, logging and optimisation are in Task, once."""

from seqlab.tasks.base import Task
from seqlab.tasks.bits import BitLabelling

__all__ = ["BitLabelling", "Task"]
