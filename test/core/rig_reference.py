"""LCPR and EINet written down once more from the specification (sections 2.3 and 2.4), as plain functions on a table of
float64 weights: what the networks are compared with. Uses nothing of the package."""

import torch
import torch.nn.functional as F


class Weights:
    """A state dict in float64, seen from a prefix."""

    def __init__(self, table: dict[str, torch.Tensor], prefix: str = ""):
        self.table, self.prefix = table, prefix

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.table[self.prefix + name].double()

    def at(self, name: str) -> "Weights":
        return Weights(self.table, f"{self.prefix}{name}.")

    def has(self, name: str) -> bool:
        return self.prefix + name in self.table


def norm(x, w: Weights):
    shape = [1, -1] + [1] * (x.dim() - 2)
    scale = w["weight"] / (w["running_var"] + 1e-5).sqrt()
    return (x - w["running_mean"].view(shape)) * scale.view(shape) + w["bias"].view(shape)


def wrapped(x):
    """One more column at each end, from the other end."""
    return torch.cat([x[..., -1:], x, x[..., :1]], dim=-1)


def conv3(x, weight, stride: int, circle: bool):
    return F.conv2d(wrapped(x), weight, None, stride, (1, 0)) if circle else F.conv2d(x, weight, None, stride, 1)


def block(x, w: Weights, stride: int, circle: bool):
    y = norm(conv3(x, w["conv1.weight"], stride, circle), w.at("bn1")).relu()
    y = norm(conv3(y, w["conv2.weight"], 1, circle), w.at("bn2"))
    if w.has("downsample.0.weight"):
        x = norm(F.conv2d(x, w["downsample.0.weight"], None, stride), w.at("downsample.1"))
    return (x + y).relu()


def layer(x, w: Weights, stride: int, circle: bool = False):
    return block(block(x, w.at("0"), stride, circle), w.at("1"), 1, circle)


def stem(x, w: Weights):
    x = norm(F.conv2d(x, w["conv1.weight"], None, 2, 3), w.at("bn1")).relu()
    return layer(F.max_pool2d(x, 3, 2, 1), w.at("layer1"), 1)


def panorama(x, cameras: int):
    return torch.stack([torch.cat(list(frame), dim=2) for frame in x.split(cameras)])


def strips(x, cameras: int):
    return torch.cat([torch.stack(frame.chunk(cameras, dim=2)) for frame in x])


def vert_conv(x, w: Weights, circle: bool):
    x = F.conv2d(x, w["weigh.0.weight"], w["weigh.0.bias"]).sigmoid()
    x = F.conv2d(x, w["weigh.2.weight"], w["weigh.2.bias"]).max(dim=2).values
    x = norm(F.conv1d(x, w["narrow.0.weight"]), w.at("narrow.1")).relu()
    y = x
    for i in "01":
        padded = wrapped(y) if circle else F.pad(y, (1, 1))
        y = norm(F.conv1d(padded, w[f"along.{i}.0.weight"]), w.at(f"along.{i}.1")).relu()
    return norm(F.conv1d(x + y, w["widen.0.weight"], w["widen.0.bias"]), w.at("widen.1")).relu()


def attention(t, w: Weights, heads: int = 4):
    """t: [B, T, D]. The three input layers lie one below the other in in_proj."""
    batch, count, width = t.shape
    q, k, v = (
        (t @ m.T + b).view(batch, count, heads, width // heads)
        for m, b in zip(w["in_proj_weight"].chunk(3), w["in_proj_bias"].chunk(3), strict=True)
    )
    share = (torch.einsum("bqhd,bkhd->bhqk", q, k) / (width // heads) ** 0.5).softmax(dim=3)
    mixed = torch.einsum("bhqk,bkhd->bqhd", share, v).reshape(batch, count, width)
    return mixed @ w["out_proj.weight"].T + w["out_proj.bias"]


def net_vlad(t, w: Weights):
    """t: [B, T, D]. D-major flattening; a BatchNorm after the projection is not applied."""
    batch, _, width = t.shape
    logits = torch.einsum("btd,dk->bkt", t, w["assign"])
    a = norm(logits, w.at("assign_norm")).softmax(dim=1)
    clusters = a.shape[1]
    v = torch.zeros(batch, width, clusters, dtype=torch.float64)
    for k in range(clusters):
        v[:, :, k] = (a[:, k, :, None] * (t - w["centres"][:, k])).sum(dim=1)
    v = v / v.norm(dim=1, keepdim=True).clamp(min=1e-12)
    v = v.reshape(batch, width * clusters)
    x = v / v.norm(dim=1, keepdim=True) @ w["project"]
    return x * norm(x @ w["gate"], w.at("gate_norm")).sigmoid()


def layer_norm(t, w: Weights):
    centred = t - t.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True) + 1e-5).sqrt() * w["weight"] + w["bias"]


def lcpr(table, images, scan, circle: bool):
    w, cameras = Weights(table), images.shape[1]
    x, y = images.double().flatten(0, 1), scan.double()
    x = stem(x, w.at("backbone"))
    y = F.conv2d(y, w["scan_stem.weight"], w["scan_stem.bias"])
    for i in range(4):
        if i:
            x = layer(x, w.at(f"backbone.layer{i + 1}"), 2)
            y = layer(y, w.at(f"scan_stages.layer{i + 1}"), 2, circle)
        f = w.at(f"fusions.{i}")
        columns = [vert_conv(m, f.at(f"squeezes.{j}"), circle) for j, m in enumerate((panorama(x, cameras), y))]
        t = torch.cat(columns, dim=2).transpose(1, 2)
        t = (t + attention(t, f.at("attention"))).transpose(1, 2)
        half = t.shape[2] // 2
        x = x + strips(t[:, :, None, :half].expand(-1, -1, x.shape[2], -1), cameras)
        y = y + t[:, :, None, half:]
    tokens = [vert_conv(m, w.at(f"squeezes.{j}"), circle) for j, m in enumerate((panorama(x, cameras), y))]
    d = torch.cat([net_vlad(t.transpose(1, 2), w.at(f"poolings.{j}")) for j, t in enumerate(tokens)], dim=1)
    kernel, padded = w["gate.conv.weight"].ravel(), F.pad(d, (1, 1))
    d = d * (kernel[0] * padded[:, :-2] + kernel[1] * d + kernel[2] * padded[:, 2:]).sigmoid()
    return d / d.norm(dim=1, keepdim=True)


def einet(table, images, scan, sensors):
    w, maps = Weights(table), {}
    if "camera" in sensors:
        x = stem(images.double().flatten(0, 1), w.at("backbone"))
        for i in (2, 3, 4):
            x = layer(x, w.at(f"backbone.layer{i}"), 2)
        maps["camera"] = panorama(x, images.shape[1])
    if "lidar" in sensors:
        y = F.conv2d(scan.double(), w["scan_stem.weight"], w["scan_stem.bias"])
        for i in (2, 3, 4):
            y = layer(y, w.at(f"scan_stages.layer{i}"), 2, circle=True)
        maps["lidar"] = y
    tokens = []
    for sensor, m in maps.items():
        branch = w.at(f"branches.{sensor}")
        tokens.append(vert_conv(m, branch.at("squeeze"), circle=True).transpose(1, 2) + branch["sensor"])
    t, e = torch.cat(tokens, dim=1), w.at("transformer")
    t = t + attention(layer_norm(t, e.at("norm1")), e.at("self_attn"))
    hidden = (layer_norm(t, e.at("norm2")) @ e["linear1.weight"].T + e["linear1.bias"]).relu()
    t = t + hidden @ e["linear2.weight"].T + e["linear2.bias"]
    parts = t.split(tokens[0].shape[1], dim=1)
    d = torch.cat([net_vlad(p, w.at(f"poolings.{s}")) for s, p in zip(maps, parts, strict=True)], dim=1)
    return d / d.norm(dim=1, keepdim=True)
