"""Sparse 3-D convolution: the layers of the LiDAR network that compute only where there are voxels.

Two implementations of one layer: spconv's kernels (CPU, or CUDA with a spconv-cu* wheel) and plain torch gather and
scatter for hosts without spconv. Both read the same weight [out, 3, 3, 3, in], so a model folder works with either.
This is the only file that imports spconv.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

try:
    from spconv.core import ConvAlgo
    from spconv.cppconstants import CPU_ONLY_BUILD
    from spconv.pytorch import ops as spconv_ops
except ImportError as problem:
    spconv_ops, spconv_problem = None, str(problem)
else:
    spconv_problem = ""  # why spconv is not used, for `vxp doctor`
    # Its backward pass asks for a CUDA stream on the CPU too: give it the null stream.
    if not torch.cuda.is_available():
        spconv_ops.get_current_stream = lambda: 0

KERNEL = 3  # every layer of the network has kernel 3 and padding 1
USUAL_TAPS = 9  # of the 27; so many meet an active voxel on LiDAR surfaces, so that activations keep their scale


@dataclass(frozen=True)
class SparseVoxels:
    """The active voxels of a batch of grids.

    features: [N, C] float32. indices: [N, 4] int32 (sample, z, y, x), each at most once. shape: voxels per axis
    (z, y, x). backend: "spconv" or "torch". rules: found once, shared by the layers that work on one active set.
    """

    features: torch.Tensor
    indices: torch.Tensor
    shape: tuple[int, int, int]
    batch_size: int
    backend: str
    rules: dict[str, "Rules"] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """Which input row meets which output row under which kernel tap.

    indices: [M, 4] int32, the active outputs. pairs: as the backend wants them.
    """

    indices: torch.Tensor
    pairs: Any


def default_backend(device: torch.device) -> str:
    """spconv where it is installed and was built for the device; else torch."""
    is_usable = spconv_ops is not None and (device.type == "cpu" or not CPU_ONLY_BUILD)
    return "spconv" if is_usable else "torch"


class SparseConv3d(nn.Module):
    """Convolution with kernel 3, padding 1, no bias.

    submanifold: outputs only at the active inputs (stride 1); otherwise at every site that a kernel tap reaches.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, submanifold: bool = False):
        super().__init__()
        self.stride, self.submanifold = stride, submanifold
        self.weight = nn.Parameter(torch.empty(out_channels, KERNEL, KERNEL, KERNEL, in_channels))
        nn.init.normal_(self.weight, std=math.sqrt(2 / (in_channels * USUAL_TAPS)))  # He et al. 2015

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        backend = Spconv if voxels.backend == "spconv" else GatherScatter
        shape = strided_shape(voxels.shape, self.stride)
        if len(voxels.indices) == 0:  # spconv refuses an empty cloud
            return replace(voxels, features=voxels.features.new_zeros(0, len(self.weight)), shape=shape)
        rules = voxels.rules.get("submanifold") if self.submanifold else None
        rules = rules or backend.find_rules(voxels, self.stride, self.submanifold)
        features = backend.convolve(voxels.features, self.weight, rules, self.submanifold)
        kept = {"submanifold": rules} if self.submanifold else {}  # another active set needs other rules
        return replace(voxels, features=features, indices=rules.indices, shape=shape, rules=kept)


def strided_shape(shape: tuple[int, int, int], stride: int) -> tuple[int, int, int]:
    """Grid after a convolution with kernel 3 and padding 1: ceil(n / stride) per axis."""
    return tuple((n - 1) // stride + 1 for n in shape)


class Spconv:
    """spconv's kernels, algorithm "Native": the one that it has for CPUs; it serves CUDA tensors too."""

    @staticmethod
    def find_rules(voxels: SparseVoxels, stride: int, submanifold: bool) -> Rules:
        ones = [1, 1, 1]
        indices, pairs, counts = spconv_ops.get_indice_pairs(
            voxels.indices.contiguous(), voxels.batch_size, list(voxels.shape), ConvAlgo.Native, ksize=[KERNEL] * 3,
            stride=[stride] * 3, padding=ones, dilation=ones, out_padding=[0, 0, 0], subm=submanifold,
        )  # fmt: skip
        return Rules(indices, (pairs, counts))

    @staticmethod
    def convolve(features: torch.Tensor, weight: torch.Tensor, rules: Rules, submanifold: bool) -> torch.Tensor:
        return SpconvFunction.apply(features.contiguous(), weight, rules, submanifold)


class SpconvFunction(torch.autograd.Function):
    """One convolution by spconv, in one CPU thread: with more, spconv 2.3.8 gives wrong sums.

    Its scatter_add shares two pointers between OpenMP threads. The error is silent, and as large as the result.
    """

    @staticmethod
    def forward(ctx, features: torch.Tensor, weight: torch.Tensor, rules: Rules, submanifold: bool) -> torch.Tensor:
        ctx.save_for_backward(features, weight)
        ctx.rules, ctx.submanifold = rules, submanifold
        with one_thread():
            return spconv_ops.indice_conv(
                features, weight, *rules.pairs, len(rules.indices), subm=submanifold, algo=ConvAlgo.Native
            )

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        features, weight = ctx.saved_tensors
        with one_thread():
            gradients = spconv_ops.indice_conv_backward(
                features, weight, gradient.contiguous(), *ctx.rules.pairs, subm=ctx.submanifold, algo=ConvAlgo.Native
            )
        return *gradients, None, None


@contextmanager
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class GatherScatter:
    """Plain torch: per kernel tap, gather the inputs, multiply, add to the outputs."""

    @staticmethod
    def find_rules(voxels: SparseVoxels, stride: int, submanifold: bool) -> Rules:
        """Input i meets output o under tap k where i = stride * o + k - 1 on every axis."""
        sample, position = voxels.indices[:, :1].long(), voxels.indices[:, 1:].long()
        shape = torch.tensor(strided_shape(voxels.shape, stride), device=position.device)
        taps = torch.cartesian_prod(*[torch.arange(KERNEL, device=position.device)] * 3)  # [27, 3]
        strided = position + 1 - taps[:, None]  # [27, N, 3], stride * o
        output = torch.div(strided, stride, rounding_mode="floor")
        is_hit = ((strided % stride == 0) & (output >= 0) & (output < shape)).all(dim=2)  # [27, N]
        keys = _key(sample, output, shape)  # [27, N]
        if submanifold:
            active, row = _key(sample, position, shape).sort()
        else:
            active = keys[is_hit].unique()
            row = torch.arange(len(active), device=active.device)
        found = torch.searchsorted(active, keys).clamp(max=len(active) - 1)
        is_hit &= active[found] == keys
        pairs = [(hit.nonzero()[:, 0], row[places[hit]]) for hit, places in zip(is_hit, found, strict=True)]
        return Rules(voxels.indices if submanifold else _unkey(active, shape), pairs)

    @staticmethod
    def convolve(features: torch.Tensor, weight: torch.Tensor, rules: Rules, submanifold: bool) -> torch.Tensor:
        outputs = features.new_zeros(len(rules.indices), len(weight))
        for (inputs, targets), tap in zip(rules.pairs, weight.flatten(1, 3).unbind(1), strict=True):
            if len(inputs):
                outputs.index_add_(0, targets, features[inputs] @ tap.T)
        return outputs


def _key(sample: torch.Tensor, position: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """One number per site: (sample, z, y, x) in mixed radix. position: [..., N, 3]. Returns [..., N] int64."""
    z, y, x = position.unbind(-1)
    return ((sample[:, 0] * shape[0] + z) * shape[1] + y) * shape[2] + x


def _unkey(keys: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """The inverse of `_key`: [M, 4] int32."""
    columns = []
    for n in reversed(shape.tolist()):
        columns.append(keys % n)
        keys = torch.div(keys, n, rounding_mode="floor")
    return torch.stack([keys, *reversed(columns)], dim=1).int()
