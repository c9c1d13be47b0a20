"""trainer=fsdp2: weights, gradients and optimizer states divided among the ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2: each rank keeps its part of every weight, and of its gradient and optimizer state; the whole weights are there while a
    batch is worked on alone. Checkpoints hold them whole, as those of one process do. The sharding itself is in `Task.configure_model`.

    Source: Y. Zhao et al., 2023, "PyTorch FSDP: experiences on scaling fully sharded data parallel", in torch's second version.
    """

    def __init__(self) -> None:
        super().__init__(data_parallel_size=1, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes  # all of them; Lightning would divide each layer among those of a machine
        super().setup_environment()

    def setup(self, trainer: L.Trainer) -> None:
        for callback in trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
            if isinstance(callback, need_whole_weights()):
                raise ValueError(
                    f"the callback {type(callback).__name__} needs whole weights in one process, and trainer=fsdp2 divides them. "
                    "Take trainer=ddp, or leave it out of callbacks=[…]."
                )
        super().setup(trainer)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """As Lightning's own, which fails for an optimizer without states (2.6.6), and reads without looking at the checksum."""
        from seqlab.checkpoint import read_checkpoint  # not at import time: it lies above

        assert self.model is not None
        content = read_checkpoint(Path(self.broadcast(checkpoint_path)))
        put_weights(self.model, content.pop("state_dict"))
        for optimizer, state in zip(self.optimizers, content["optimizer_states"], strict=True):
            put_optimizer_state(self.model, optimizer, state)
        return content


def put_optimizer_state(model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Give an optimizer of divided weights the whole state that a checkpoint holds."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict
    from torch.distributed.fsdp import FullyShardedDataParallel, OptimStateKeyType

    if not state["state"]:
        for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
            group.update({name: value for name, value in saved.items() if name != "params"})
        return
    named = FullyShardedDataParallel.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_NAME, model)
    set_optimizer_state_dict(model, optimizer, named, options=StateDictOptions(full_state_dict=True))


def need_whole_weights() -> tuple[type, ...]:
    """The callbacks that copy weights, or run the model outside of its steps."""
    from seqlab.callbacks.alignment import AlignmentPicture  # not at import time: they lie above
    from seqlab.callbacks.attention import AttentionPicture
    from seqlab.callbacks.captions import CaptionPicture
    from seqlab.callbacks.gradient import GradientRecord
    from seqlab.callbacks.strokes import StrokePicture
    from seqlab.callbacks.video import VideoPicture

    return (WeightAveraging, AlignmentPicture, AttentionPicture, CaptionPicture, GradientRecord, StrokePicture, VideoPicture)


def put_weights(model: nn.Module, weights: dict[str, Any]) -> None:
    """`model.load_state_dict(weights)`, of whole weights, also into a model that is divided among ranks."""
    if _is_one_of_several():
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
        from torch.distributed.fsdp import FSDPModule

        if isinstance(model, FSDPModule):
            model.reshard()
            set_model_state_dict(model, weights, options=StateDictOptions(full_state_dict=True))
            return
    model.load_state_dict(weights)


def own_part(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor that is divided among ranks; of another, itself."""
    return tensor.to_local() if _is_divided(tensor) else tensor  # pyright: ignore[reportAttributeAccessIssue]


def of_parts(own: Tensor, like: Any) -> Tensor:
    """What `own_part` was taken from; like: divided in the same way, or not divided."""
    if not _is_divided(like):
        return own
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(own, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())


def _is_divided(tensor: Tensor) -> bool:
    if not _is_one_of_several():
        return False
    from torch.distributed.tensor import DTensor  # not at import time: few runs need it

    return isinstance(tensor, DTensor)


def _is_one_of_several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
