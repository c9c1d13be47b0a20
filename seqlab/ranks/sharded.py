"""trainer=fsdp2: weights, gradients and optimizer states divided among the ranks."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn


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
        if any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks):  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError("callbacks=[ema] keeps a second copy of whole weights, which trainer=fsdp2 has none of. Take trainer=ddp, or leave ema out.")
        super().setup(trainer)


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
