"""The VXP networks once more: numpy, float64, dense grids, loops. Slow on purpose, and written from the method's
description alone, so that an agreement with `vxp_ros.core.models` means something.

weights: state dict as {name: float64 array}, convolution kernels as [3, 3, 3, C_in, C_out] in (z, y, x) tap order.
"""

import math
from itertools import product

import numpy as np

RANGE_MIN = np.array([0.0, -22.0, -4.0])
VOXEL = np.array([0.4, 0.4, 0.2])
GRID = 110
CELLS = 28
CAMERA_FROM_FORWARD_LEFT_UP = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
_erf = np.frompyfunc(math.erf, 1, 1)


# --- image network -------------------------------------------------------------------------------------------------


def image_descriptor(image: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """image: [3, 224, 224] normalised. Returns [256]."""
    features = vit_features(image, {k.removeprefix("backbone.encoder."): v for k, v in weights.items()})
    return head(gem(features, float(weights["pooling.p"].item())), weights, "pooling")


def vit_features(image: np.ndarray, w: dict[str, np.ndarray], patch: int = 8, heads: int = 6) -> np.ndarray:
    """[784, 384]: the last block's output before the final norm, without the class token, row by row."""
    side = image.shape[1] // patch
    patches = image.reshape(3, side, patch, side, patch).transpose(1, 3, 0, 2, 4).reshape(side * side, -1)
    tokens = patches @ w["patch_embed.proj.weight"].reshape(384, -1).T + w["patch_embed.proj.bias"]
    tokens = np.concatenate([w["cls_token"][0], tokens]) + w["pos_embed"][0]
    for block in range(12):
        name = f"blocks.{block}."
        tokens = tokens + attention(layer_norm(tokens, w, name + "norm1"), w, name + "attn", heads)
        hidden = linear(layer_norm(tokens, w, name + "norm2"), w, name + "mlp.fc1")
        hidden = hidden * 0.5 * (1 + _erf(hidden / math.sqrt(2)).astype(np.float64))
        tokens = tokens + linear(hidden, w, name + "mlp.fc2")
    return tokens[1:]


def attention(x: np.ndarray, w: dict[str, np.ndarray], name: str, heads: int) -> np.ndarray:
    width = x.shape[1] // heads
    qkv = linear(x, w, name + ".qkv").reshape(len(x), 3, heads, width)
    out = np.empty((len(x), heads, width))
    for h in range(heads):
        q, k, v = qkv[:, 0, h], qkv[:, 1, h], qkv[:, 2, h]
        scores = q @ k.T / math.sqrt(width)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        out[:, h] = scores / scores.sum(axis=1, keepdims=True) @ v
    return linear(out.reshape(len(x), -1), w, name + ".proj")


def layer_norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
    return centred / spread * w[name + ".weight"] + w[name + ".bias"]


def linear(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def gem(features: np.ndarray, p: float) -> np.ndarray:
    """Generalised mean over the rows of [N, C]."""
    return (np.maximum(features, 1e-6) ** p).mean(axis=0) ** (1 / p)


def head(pooled: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return weights[f"{name}.dense_head.weight"] @ pooled + weights[f"{name}.dense_head.bias"]


# --- LiDAR network -------------------------------------------------------------------------------------------------


def voxelize_in_scan_order(points: np.ndarray, max_points: int = 35, max_voxels: int = 10_000):
    """points: [N, 3] camera-centred. Returns ([V] lists of points, [V, 3] (z, y, x)); first come, first served."""
    rows: dict[tuple[int, int, int], int] = {}
    voxels: list[list[np.ndarray]] = []
    for point in points:
        x, y, z = (math.floor(value) for value in (point - RANGE_MIN) / VOXEL)
        if not all(0 <= index < GRID for index in (x, y, z)):
            continue
        if (z, y, x) not in rows:
            if len(rows) == max_voxels:
                continue
            rows[z, y, x] = len(rows)
            voxels.append([])
        if len(voxels[rows[z, y, x]]) < max_points:
            voxels[rows[z, y, x]].append(point)
    return voxels, np.array(list(rows), dtype=int).reshape(-1, 3)


def lidar_descriptor(voxels, coordinates, view, weights, layers, *, compat: bool) -> np.ndarray:
    """voxels: [V] of [n, 3] points; view: (fx/W, fy/H, cx/W, cy/H); layers: see `sparse_cnn`. Returns [256].

    compat: the published behaviour (padding seen by the voxel encoder, stretched coarse centres, no visibility test).
    """
    features = voxel_features(voxels, coordinates, weights, padded_to=35 if compat else None)
    features, occupied = sparse_cnn(features, coordinates, layers)
    sites = np.argwhere(occupied)
    seen = visible_sites(sites, view, compat)
    return head(gem(features[occupied][seen], float(weights["gem.p"].item())), weights, "gem")


def voxel_features(voxels, coordinates, weights, padded_to: int | None) -> np.ndarray:
    """[V, 128]: three point-wise layers with a maximum over the voxel's points."""
    out = []
    for points, zyx in zip(voxels, coordinates, strict=True):
        points = np.asarray(points, dtype=np.float64)
        centre = (zyx[::-1] + 0.5) * VOXEL + RANGE_MIN
        x = np.concatenate([points, points - centre], axis=1)
        if padded_to:
            x = np.concatenate([x, np.zeros((padded_to - len(x), 6))])
        for index in range(3):
            x = np.maximum(norm(x @ weights[f"vfe.{index}.linear"].T, weights, f"vfe.{index}"), 0)
            if index < 2:
                x = np.concatenate([x, np.broadcast_to(x.max(axis=0), x.shape)], axis=1)
        out.append(x.max(axis=0))
    return np.array(out)


def norm(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Batch normalisation with running statistics, eps 1e-3."""
    scale = weights[name + ".weight"] / np.sqrt(weights[name + ".var"] + 1e-3)
    return (x - weights[name + ".mean"]) * scale + weights[name + ".bias"]


def sparse_cnn(features: np.ndarray, coordinates: np.ndarray, layers: list[dict]):
    """Run the convolutions on dense [Z, Y, X, C] grids. layers: {"kernel", "stride", "dilates", norm arrays} each."""
    grid = np.zeros((GRID, GRID, GRID, features.shape[1]))
    occupied = np.zeros((GRID, GRID, GRID), dtype=bool)
    grid[tuple(coordinates.T)] = features
    occupied[tuple(coordinates.T)] = True
    for layer in layers:
        grid, occupied = dense_layer(grid, occupied, layer)
    return grid, occupied


def dense_layer(grid: np.ndarray, occupied: np.ndarray, layer: dict):
    """One convolution (3x3x3, padding 1) + norm + ReLU, kept at the sites that are active afterwards."""
    stride, kernel = layer["stride"], layer["kernel"]
    size = (grid.shape[0] + 2 - 3) // stride + 1
    padded = np.pad(grid, [(1, 1)] * 3 + [(0, 0)])
    reach = np.pad(occupied, 1)
    if layer["dilates"]:
        active = np.zeros((size,) * 3, dtype=bool)
        for tap in product(range(3), repeat=3):
            active |= reach[tuple(slice(t, t + (size - 1) * stride + 1, stride) for t in tap)]
    else:
        active = occupied
    sites = np.argwhere(active)
    total = np.zeros((len(sites), kernel.shape[-1]))
    for tap in product(range(3), repeat=3):
        total += padded[tuple((sites * stride + np.array(tap)).T)] @ kernel[tap]
    out = np.zeros((size,) * 3 + (kernel.shape[-1],))
    out[active] = np.maximum(norm(total, layer, "norm"), 0)
    return out, active


def visible_sites(sites: np.ndarray, view, compat: bool) -> np.ndarray:
    """[n] rows of sites (z, y, x) that the camera sees; nearest one per cell unless compat."""
    fx, fy, cx, cy = (CELLS * value for value in view)
    xyz = sites[:, ::-1].astype(np.float64)
    if compat:
        coarse = VOXEL * GRID / CELLS
        centres = xyz * coarse + coarse / 2 + RANGE_MIN
    else:
        centres = RANGE_MIN + (4 * xyz + 0.5) * VOXEL
    right, down, forward = (centres @ CAMERA_FROM_FORWARD_LEFT_UP.T).T
    u, v = fx * right / forward + cx, fy * down / forward + cy
    inside = np.flatnonzero((u > 0) & (u < CELLS) & (v > 0) & (v < CELLS))
    if compat:
        return inside
    nearest: dict[tuple[int, int], int] = {}
    for row in inside:
        cell = (math.floor(v[row]), math.floor(u[row]))
        if cell not in nearest or forward[row] < forward[nearest[cell]]:
            nearest[cell] = row
    return np.array(sorted(nearest.values()), dtype=int)
