"""Generalised-mean pooling, by hand and over sets of different sizes."""

import torch

from vxp_ros.core.models.pooling import GemHead


def head(p: float) -> GemHead:
    """A head whose linear layer passes its input on."""
    head = GemHead(2, 2)
    head.p.data.fill_(p)
    head.dense_head.weight.data.copy_(torch.eye(2))
    return head


def test_generalised_mean_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[-5.0, 3.0]]]])  # [1, 2 channels, 1, 2]
    mean, cubes = head(1.0).pool_map(features), head(3.0).pool_map(features)
    torch.testing.assert_close(mean, torch.tensor([[1.5, 1.5 + 5e-7]]))
    torch.testing.assert_close(cubes, torch.tensor([[(9 / 2) ** (1 / 3), (27 / 2) ** (1 / 3)]]))


def test_pooling_sets_equals_pooling_each_alone():
    features, sample = torch.rand(7, 2), torch.tensor([2, 0, 2, 2, 0, 0, 0])
    vectors, is_valid = head(3.0).pool_sets(features, sample, 4)
    assert is_valid.tolist() == [True, False, True, False]
    for row in (0, 2):
        alone = head(3.0).pool_map(features[sample == row].T[None, :, None])
        torch.testing.assert_close(vectors[row], alone[0])
    assert vectors[[1, 3]].abs().max() == 0
