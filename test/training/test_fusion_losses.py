"""EINet's depth head and losses: hand-worked values, brute force, and networks that learn a few places by heart."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "core"))
from rig_samples import rig_recipe, rig_tensors, ring_frame

from vxp_ros.core.model_store import find_recipe, fresh_network
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import read_recipe
from vxp_ros.core.models.resnet import ResNet18
from vxp_ros.core.preprocessing.rig import rig_depths, rig_inputs
from vxp_training.depth_decoder import DepthDecoder, depth_of
from vxp_training.fusion_losses import depth_loss, lazy_triplet


def test_lazy_triplet_worked_by_hand():
    """Squared distances to the positives 0.04 and 0.25, to the negatives 1, 0.36, 4 and 0.49: 0.5 + 0.25 - 0.36."""
    query = torch.zeros(1, 2)
    positives = torch.tensor([[[0.2, 0.0], [0.0, 0.5]]])
    negatives = torch.tensor([[[1.0, 0.0], [0.0, -0.6], [2.0, 0.0], [0.0, 0.7]]])
    assert lazy_triplet(query, positives, negatives).item() == pytest.approx(0.39, abs=1e-6)
    assert lazy_triplet(query, positives, 3 * negatives).item() == 0.0
    both = [torch.cat([a, b]) for a, b in ((query, query), (positives, positives), (negatives, 3 * negatives))]
    assert lazy_triplet(*both).item() == pytest.approx(0.195, abs=1e-6)


def test_lazy_triplet_as_brute_force_says():
    random = np.random.default_rng(0)
    q, p, n = random.normal(size=(5, 8)), random.normal(size=(5, 2, 8)), random.normal(size=(5, 4, 8))
    worst = [
        max(
            max(0.0, 0.5 + max(np.sum((q[k] - p[k, i]) ** 2) for i in range(2)) - np.sum((q[k] - n[k, j]) ** 2))
            for j in range(4)
        )
        for k in range(5)
    ]
    loss = lazy_triplet(*(torch.from_numpy(part) for part in (q, p, n)))
    assert loss.item() == pytest.approx(np.mean(worst))
    assert np.mean(worst) > 0.1


def test_depth_decoding_ends_at_1_and_80_metres():
    assert depth_of(torch.tensor([1.0, 0.0])).tolist() == pytest.approx([1.0, 80.0])
    assert depth_of(torch.tensor(0.5)).item() == pytest.approx(1 / (0.0125 + 0.5 * 0.9875))


def test_depth_loss_worked_by_hand_looks_only_at_pixels_that_were_seen():
    depth = torch.zeros(1, 4, 8)
    depth[0, 1, 2], depth[0, 3, 7] = 4.0, 20.0
    shares = [torch.ones(1, 1, 2, 4), torch.zeros(1, 1, 4, 8)]  # 1 m and 80 m everywhere
    wanted = (np.log(4) + np.log(20)) / 2 / 2 + (np.log(80 / 4) + np.log(80 / 20)) / 2 / 2
    assert depth_loss(shares, depth).item() == pytest.approx(wanted, rel=1e-5)
    shares = [share.clone().requires_grad_() for share in shares]
    depth_loss(shares, depth).backward()
    assert shares[1].grad.nonzero()[:, 2:].tolist() == [[1, 2], [3, 7]]


def test_a_batch_without_a_point_costs_nothing():
    share = torch.rand(2, 1, 4, 8, requires_grad=True)
    loss = depth_loss([share], torch.zeros(2, 8, 16))
    loss.backward()
    assert loss.item() == 0.0 and not share.grad.any()


def test_the_decoder_is_that_of_the_specification():
    decoder = DepthDecoder()
    with torch.inference_mode():
        shares = decoder(ResNet18().taps(torch.zeros(1, 3, 256, 704)))
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 3_152_724
    assert [tuple(share.shape) for share in shares] == [
        (1, 1, 32, 88), (1, 1, 64, 176), (1, 1, 128, 352), (1, 1, 256, 704),
    ]  # fmt: skip


def test_the_decoder_is_no_part_of_the_model():
    with torch.device("meta"):
        names = build_model(read_recipe(find_recipe("einet"))).state_dict()
    assert not [name for name in names if "depth" in name or "decoder" in name]


def test_depth_teaches_the_image_trunk():
    recipe = rig_recipe("einet", 2)
    network, decoder = build_model(recipe), DepthDecoder()
    images, _ = rig_tensors(recipe)
    depth = torch.zeros(4, 64, 96)
    depth[:, 10:20, 5::7] = 9.0
    depth_loss(decoder(network.backbone.taps(images.flatten(0, 1))), depth).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.backbone.parameters())
    assert all(parameter.grad is None for parameter in network.scan_stages.parameters())


PLACES, LOOKS, STEPS = 3, 3, 12


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["lcpr", "einet"])
def test_the_network_learns_a_handful_of_tuples_by_heart(architecture):
    """Nine unrelated scenes, said to be three looks at each of three places."""
    torch.manual_seed(0)
    recipe, numbers = rig_recipe(architecture, 1, size=(32, 64)), np.random.default_rng(0)
    frames = [ring_frame(seed, ("front",)) for seed in range(PLACES * LOOKS)]
    parts = [rig_inputs(frame, recipe, "cpu") for frame in frames]
    images, scans = (torch.cat(column) for column in zip(*parts, strict=True))
    depths = torch.cat([rig_depths(frame, recipe) for frame in frames])
    (network, _), decoder = fresh_network(recipe, seed=0), DepthDecoder()
    optimiser = torch.optim.Adam([*network.parameters(), *decoder.parameters()], 1e-4)
    place, log = torch.arange(PLACES * LOOKS) // LOOKS, []
    for _ in range(STEPS):
        rows = torch.tensor([tuple_of(place, numbers, query) for query in range(len(place))])
        if architecture == "einet":
            taps = network.backbone.taps(images.flatten(0, 1))
            vectors, depth = network.describe(taps[-1][:, None], scans), depth_loss(decoder(taps), depths)
        else:
            vectors, depth = network(images, scans), torch.zeros(())
        tuples = vectors[rows]
        triplet = lazy_triplet(tuples[:, 0], tuples[:, 1:3], tuples[:, 3:])
        (triplet + 0.1 * depth).backward()
        optimiser.step()
        optimiser.zero_grad()
        nearest = (vectors @ vectors.T).detach().fill_diagonal_(-1).argmax(dim=1)
        log.append((triplet.item(), depth.item(), (place[nearest] == place).float().mean().item()))
    triplets, errors, found = zip(*log, strict=True)
    assert found[0] < 0.5 and found[-1] == 1.0, log
    assert triplets[-1] < 0.4 * triplets[0], log
    assert architecture == "lcpr" or errors[-1] < 0.8 * errors[0], log


def tuple_of(place: torch.Tensor, random: np.random.Generator, query: int) -> list[int]:
    """Query, its two positives, four negatives."""
    same, other = place == place[query], place != place[query]
    same[query] = False
    return [query, *same.nonzero().ravel().tolist(), *random.choice(other.nonzero().ravel(), 4, replace=False)]
