"""From light to an 8-bit picture: drops and flakes, exposure, white balance, noise, tone curve."""

import cv2
import numpy as np

from ..scene import Day
from .light import SKY, SUN, make_light

KEY = 0.21  # to which exposure brings the picture's mean brightness
JITTER = 0.2  # exposure values, largest error of the automatic exposure
SHOT_NOISE, READ_NOISE = 0.00035, 0.0022  # by day: variance per unit of light, standard deviation
NIGHT_GAIN = 3.0
SATURATION = 1.18


def develop(light: np.ndarray, day: Day, seed: int, has_noise: bool) -> np.ndarray:
    """The picture [H, W, 3] uint8 sRGB of light [H, W, 3] float32. The seed drives exposure error, drops and noise."""
    rng = np.random.default_rng([seed, day.number, 0x5E])
    light = _bloom(light, day)
    if has_noise and day.snowfall > 0:
        light = _flakes(light, day, rng)
    if has_noise and day.rain > 0:
        light = _drops(light, day, rng)
    exposure = _exposure(light, day) * 2.0 ** (rng.uniform(-JITTER, JITTER) if has_noise else 0.0)
    white = _white_balance(day) * (1.0 + (rng.uniform(-0.02, 0.02, 3) if has_noise else 0.0))
    raw = light * (exposure * white).astype(np.float32) * _vignette(*light.shape[:2])[..., None]
    if has_noise:
        gain = NIGHT_GAIN if day.is_night else 1.0
        sigma = np.sqrt(SHOT_NOISE * gain * np.maximum(raw, 0.0) + (READ_NOISE * gain) ** 2)
        raw += sigma * rng.standard_normal(raw.shape, dtype=np.float32)
    grey = raw @ np.array([0.3, 0.55, 0.15], np.float32)
    return _tone(grey[..., None] + SATURATION * (raw - grey[..., None]))


def _exposure(light: np.ndarray, day: Day) -> float:
    """From the mean of the logarithm, the lower half of the picture counting double. A dark night stays dark."""
    grey = light[::4, ::4] @ np.array([0.3, 0.55, 0.15], np.float32)
    weight = np.linspace(0.6, 1.4, grey.shape[0], dtype=np.float32)[:, None]
    mean = np.exp(float((np.log(np.clip(grey, 2e-3, 2.5)) * weight).mean()))
    if day.is_night:
        return 0.45 * KEY / max(mean, 0.012)
    return KEY * (1.0 + 0.9 * day.snow) / max(mean, 0.05)  # as photographers do: snow is to be white


def _white_balance(day: Day) -> np.ndarray:
    """Camera gains: most of the way to neutral for what falls on the road, sun and shade together."""
    if day.is_night:
        return np.array([0.84, 1.0, 1.22])
    light = make_light(day).colours
    falls = light[SKY] + 0.6 * np.sin(max(day.sun_elevation, 0.0)) * light[SUN]
    return (falls.mean() / falls) ** 0.8


def _vignette(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return (1.0 - 0.16 * (0.7 * x * x + 0.3 * y * y)).astype(np.float32)


def _bloom(light: np.ndarray, day: Day) -> np.ndarray:
    """Lamps and the sun spill over, more at night and in mist."""
    height, width = light.shape[:2]
    small = cv2.resize(light, (max(width // 4, 1), max(height // 4, 1)), interpolation=cv2.INTER_AREA)
    spill = np.maximum(small - (0.35 if day.is_night else 3.0), 0.0)
    if not (spill > 0).any():
        return light
    spill = np.minimum(spill, 30.0)
    halo = 0.20 * cv2.GaussianBlur(spill, (0, 0), width / 330) + 0.10 * cv2.GaussianBlur(spill, (0, 0), width / 75)
    return light + cv2.resize(halo, (width, height), interpolation=cv2.INTER_LINEAR)


def _drops(light: np.ndarray, day: Day, rng: np.random.Generator) -> np.ndarray:
    """Drops on the lens: each shows the scene upside down, small and blurred."""
    height, width = light.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    share = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(11 * day.rain)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), width * rng.uniform(0.008, 0.022)
        x0, y0 = int(max(x - 2 * radius, 0)), int(max(y - 2 * radius, 0))
        window = np.s_[y0 : int(y + 2 * radius) + 1, x0 : int(x + 2 * radius) + 1]
        dx, dy = columns[window] - np.float32(x), rows[window] - np.float32(y)
        dx_round, dy_round = columns[window] * 0 + dx, dy / np.float32(rng.uniform(1.0, 1.35))
        edge = np.sqrt(dx_round**2 + dy_round**2) / radius
        inside = np.clip((1.0 - edge) * 3.0, 0.0, 1.0)
        share[window] = np.maximum(share[window], inside)
        bend = -2.6 * inside
        columns[window] += bend * dx * 2.2
        rows[window] += bend * dy * 2.2
    if not share.any():
        return light
    soft = cv2.blur(light, (max(width // 90, 3),) * 2)
    seen = cv2.remap(soft, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return light + 0.85 * share[..., None] * (seen - light)


def _flakes(light: np.ndarray, day: Day, rng: np.random.Generator) -> np.ndarray:
    """Falling snow: many small flakes far away, few large blurred ones near by."""
    height, width = light.shape[:2]
    share = np.zeros((height, width), np.float32)
    scale = width / 640
    for count, radius, strength in ((320, 0.8, 0.5), (70, 1.6, 0.4), (9, 4.5, 0.22)):
        for _ in range(rng.poisson(count * day.snowfall)):
            x, y, size = rng.uniform(0, width), rng.uniform(0, height), radius * scale * rng.uniform(0.7, 1.3)
            slant = size * rng.uniform(0.2, 1.6)
            start, end = (
                (round((x - 0.3 * slant) * 16), round((y - slant) * 16)),
                (round((x + 0.3 * slant) * 16), round((y + slant) * 16)),
            )
            cv2.line(share, start, end, float(strength), max(round(2 * size), 1), cv2.LINE_AA, 4)
    share = cv2.GaussianBlur(share, (0, 0), 0.7 * max(scale, 0.5))[..., None]
    white = np.asarray(day.sky, np.float32) * 1.25
    return light + share * (white - light)


def _tone(raw: np.ndarray) -> np.ndarray:
    """A film-like curve (a soft shoulder above, a toe below), then sRGB, by table."""
    place = np.clip(raw * (len(_CURVE) / 8.0), 0, len(_CURVE) - 1)
    return _CURVE[place.astype(np.uint16)]


def _make_curve() -> np.ndarray:
    x = (np.arange(16384) + 0.5) / 16384 * 8.0
    film = x * (2.2 * x + 0.11) / (x * (2.2 * x + 1.05) + 0.28)
    film = np.clip(film / 0.97, 0, 1)
    srgb = np.where(film < 0.0031308, 12.92 * film, 1.055 * film ** (1 / 2.4) - 0.055)
    return np.round(np.clip(srgb, 0, 1) * 255).astype(np.uint8)


_CURVE = _make_curve()
