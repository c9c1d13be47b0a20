"""What is learned: a LightningModule per kind of target. Loss, metrics, logging and optimisation are in Task, once."""

from seqlab.tasks.anomaly_detection import AnomalyDetection
from seqlab.tasks.base import Task
from seqlab.tasks.bits import BitLabelling
from seqlab.tasks.classification import SequenceClassification
from seqlab.tasks.ctc import CTC
from seqlab.tasks.forecasting import Forecasting
from seqlab.tasks.handwriting import Handwriting
from seqlab.tasks.language_modelling import LanguageModelling
from seqlab.tasks.regression import SequenceRegression
from seqlab.tasks.sequence_to_sequence import SequenceToSequence
from seqlab.tasks.step_labelling import StepLabelling

__all__ = [
    "CTC",
    "AnomalyDetection",
    "BitLabelling",
    "Forecasting",
    "Handwriting",
    "LanguageModelling",
    "SequenceClassification",
    "SequenceRegression",
    "SequenceToSequence",
    "StepLabelling",
    "Task",
]
