"""The layers that adapters share."""

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm2d):
    """PyTorch's without its count of batches, which nobody reads: one operation less a step.

    Where a channel has one value only (pooled features of a batch of one image) there is no
    variance to divide by: then the running statistics serve.
    """

    def forward(self, maps: Tensor) -> Tensor:
        assert self.momentum is not None  # for the type: it is 0.1
        of_batch = self.training and maps.numel() > maps.shape[1]
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(maps, *statistics, of_batch, self.momentum, self.eps)


def conv_bn(channels_in: int, channels_out: int, *, kernel: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size, and a BatchNorm."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, BatchNorm(channels_out))
