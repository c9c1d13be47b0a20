"""Normalisation over the rows of a batch, of which several processes may have a share each. Dimension key: B rows, C channels, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """torch's, but for the mean and variance in training: over all processes that train together, as one that has the whole batch takes them.

    (torch.nn.SyncBatchNorm, 2.13, does so on GPUs alone.) Padding counts in them, as everywhere in a picture; where it differs between the
    shares of a batch, so do they from those of the whole. counts: False while the rows are no part of the batch (Batch.spare).
    """

    counts = True

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if not (self.training and torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1):
            return super().forward(input)
        from torch.distributed.nn.functional import all_reduce  # of which a gradient can be taken; not every torch has it

        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        places = x.new_full((1,), x.numel() / x.shape[1])
        sums = all_reduce(torch.cat([x.sum((0, 2, 3)), places]) * self.counts)
        number = sums[-1]
        mean = sums[:-1] / number
        centred = x - mean[:, None, None]
        variance = all_reduce(centred.square().sum((0, 2, 3)) * self.counts) / number
        self._remember(mean, variance * number / (number - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """For evaluation. variance: the unbiased one."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1
