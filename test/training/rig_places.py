"""A made-up street seen by a ring of three cameras and a LiDAR, for the tests of training LCPR and EINet."""

from dataclasses import replace

import numpy as np
from places import Street

from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.geometry import make_transform, rotation_z
from vxp_ros.core.models.recipe import Recipe, parse_recipe

TURN = make_transform(rotation_z(2 * np.pi / 3), np.zeros(3))


class RingStreet(Street):
    """Three cameras 120 degrees apart, each with its own picture of the place, and a cloud all round."""

    def frame(self, row: int) -> Frame:
        frame = super().frame(row)
        front, part = frame.images["camera"], frame.points
        images, cloud, T = {"front": front}, [part], front.camera.T_base_camera
        for name, shift in (("left", 16), ("right", 32)):
            T = TURN @ T
            pixels = np.roll(front.pixels, shift, axis=1)
            images[name] = Image(pixels, replace(front.camera, T_base_camera=T))
            part = part.copy()
            part[:, :2] = part[:, :2] @ TURN[:2, :2].T * (1 + shift / 64)
            cloud.append(part)
        return replace(frame, images=images, points=np.concatenate(cloud))


def ring_model(architecture: str = "einet", modality: str = "fused", **rig) -> Recipe:
    values = {
        "name": "ring", "architecture": architecture, "normalise": True, "modalities": [modality], "dimension": 32,
        "image": {"backbone": "resnet18", "size": [32, 64]},
        "rig": {"cameras": 3, "cells": [16, 48], "clusters": 4, "elevation": [-30.0, 30.0], **rig},
    }  # fmt: skip
    return parse_recipe(values, "test")
