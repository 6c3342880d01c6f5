"""Random changes of training samples (section 3 of our specification of VXP): of colours, of the image's place, of the
cloud's place, and the mirror of both. Each takes the generator that decides, so that a sample can be made again.
"""

import cv2
import numpy as np

from vxp_ros.core.geometry import make_transform

JITTER = 0.1  # brightness, contrast and saturation as a factor, hue as a part of the full circle
AFFINE_ANGLE, AFFINE_SHIFT = 5.0, 0.1  # degrees; part of the image's size
MOTION_M, TILT, TURN = 1.5, 2.0, 10.0  # metres per axis; degrees of roll and pitch; degrees of yaw
GREY = np.array([0.299, 0.587, 0.114], np.float32)


def jitter_colours(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation and hue changed by up to a tenth, in random order. pixels: [H, W, 3] uint8 RGB.

    Each is a blend: with black, with the mean grey, with the grey picture; hue turns on the colour circle.
    """
    changes = [change_brightness, change_contrast, change_saturation, turn_hue]
    amounts = random.uniform(-JITTER, JITTER, len(changes))
    image = pixels.astype(np.float32)
    for i in random.permutation(len(changes)):
        image = np.clip(changes[i](image, amounts[i]), 0, 255)
    return np.rint(image).astype(np.uint8)


def change_brightness(image: np.ndarray, amount: float) -> np.ndarray:
    return image * np.float32(1 + amount)


def change_contrast(image: np.ndarray, amount: float) -> np.ndarray:
    mean = np.float32((image @ GREY).mean())
    return mean + (image - mean) * np.float32(1 + amount)


def change_saturation(image: np.ndarray, amount: float) -> np.ndarray:
    grey = (image @ GREY)[:, :, None]
    return grey + (image - grey) * np.float32(1 + amount)


def turn_hue(image: np.ndarray, amount: float) -> np.ndarray:
    """amount: 1 is once round the circle. image: [H, W, 3] float32."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[:, :, 0] = (hsv[:, :, 0] + np.float32(360 * amount)) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def random_affine(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Turned about its middle by up to 5 degrees, then moved by up to a tenth of its size; black comes in."""
    rows, columns = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D(
        ((columns - 1) / 2, (rows - 1) / 2), random.uniform(-AFFINE_ANGLE, AFFINE_ANGLE), 1.0
    )
    matrix[:, 2] += random.uniform(-AFFINE_SHIFT, AFFINE_SHIFT, 2) * (columns, rows)
    return cv2.warpAffine(pixels, matrix, (columns, rows), flags=cv2.INTER_LINEAR)


def mirror_image(pixels: np.ndarray) -> np.ndarray:
    """Left and right exchanged; a view, not a copy."""
    return pixels[:, ::-1]


def mirror_cloud(points: np.ndarray, intrinsics: np.ndarray, keep_cx: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What a mirrored image sees. points: [N, 3 or more] in the view frame (y left). intrinsics: [4] normalised.

    A point that fell on column u of n falls on n - u. keep_cx: leave the principal point where it was, as the authors'
    release does, which is off by twice its distance from the middle.
    """
    mirrored = points.copy()
    mirrored[:, 1] *= -1
    fx, fy, cx, cy = intrinsics
    return mirrored, np.array([fx, fy, cx if keep_cx else 1 - cx, cy])


def random_motion(random: np.random.Generator) -> np.ndarray:
    """T [4, 4]: up to 1.5 m along each axis, 2 degrees of roll and pitch, 10 degrees of yaw; R = Rx Ry Rz."""
    roll, pitch = np.radians(random.uniform(-TILT, TILT, 2))
    yaw = np.radians(random.uniform(-TURN, TURN))
    R = rotation(0, roll) @ rotation(1, pitch) @ rotation(2, yaw)
    return make_transform(R, random.uniform(-MOTION_M, MOTION_M, 3))


def rotation(axis: int, angle: float) -> np.ndarray:
    """[3, 3], by `angle` radians about axis 0 (x), 1 (y) or 2 (z)."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[i, i] = R[j, j] = np.cos(angle)
    R[j, i], R[i, j] = np.sin(angle), -np.sin(angle)
    return R
