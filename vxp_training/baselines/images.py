"""Image descriptors without learning. Each takes pictures [H, W, 3] uint8 RGB and gives [N, D] float32 rows of norm 1,
to be compared by their dot product (cosine)."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

Pictures = Sequence[np.ndarray]

SIFT_FEATURES, WORDS, KMEANS_ROUNDS = 400, 48, 20
VOCABULARY_STEP = 6  # the words are learnt on every sixth picture of the map
RANDOM_SEED = 0


def describe_by_all(places: Pictures, queries: Pictures) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{name: (places [N, D], queries [Q, D])} of every method; SIFT-VLAD learns its words from the places."""
    fixed = {"thumbnail": thumbnail, "HSV histogram": hsv_histogram, "random convolution": random_convolution,
             "Gabor GIST": gabor_gist}  # fmt: skip
    rows = {name: (describe(places, method), describe(queries, method)) for name, method in fixed.items()}
    words = learn_words(places[::VOCABULARY_STEP])
    rows["SIFT-VLAD"] = (
        describe(places, lambda p: sift_vlad(p, words)),
        describe(queries, lambda p: sift_vlad(p, words)),
    )
    return rows


def describe(pictures: Pictures, method: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.array([unit(method(picture)) for picture in pictures], dtype=np.float32)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Grey at 64 x 36, every 4 x 4 patch with mean 0 and divided by its deviation + 4 (as in SeqSLAM, ICRA 2012)."""
    small = cv2.resize(grey(picture), (64, 36), interpolation=cv2.INTER_AREA)
    patches = small.reshape(9, 4, 16, 4).transpose(0, 2, 1, 3).reshape(-1, 16)
    deviation = patches.std(axis=1, keepdims=True)
    return ((patches - patches.mean(axis=1, keepdims=True)) / (deviation + 4)).ravel()


def hsv_histogram(picture: np.ndarray) -> np.ndarray:
    """Square roots of 12 x 6 x 6 bins of hue, saturation and value."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [12, 6, 6], [0, 180, 0, 256, 0, 256])
    return np.sqrt(counts.ravel())


def random_convolution(picture: np.ndarray) -> np.ndarray:
    """Two layers of fixed random weights, averaged over 3 x 5 fields: what a network knows before it learns."""
    small = cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 - 0.5
    first = np.random.default_rng(RANDOM_SEED).standard_normal((32, 3, 5, 5)).astype(np.float32)
    mix = np.random.default_rng(RANDOM_SEED + 1).standard_normal((64, 32)).astype(np.float32)
    maps = [sum(cv2.filter2D(small[:, :, c], -1, kernel[c]) for c in range(3)) for kernel in first]
    layer = np.maximum(np.array(maps)[:, ::2, ::2], 0)
    layer = np.maximum(np.tensordot(mix, layer, axes=1), 0)
    return field_means(layer, rows=3, columns=5)


def gabor_gist(picture: np.ndarray) -> np.ndarray:
    """Mean responses of 18 Gabor filters on an 8 x 4 grid (Oliva and Torralba, IJCV 2001), local contrast removed."""
    image = grey(cv2.resize(picture, (320, 180), interpolation=cv2.INTER_AREA))
    image = image - cv2.GaussianBlur(image, (0, 0), 8)
    image = image / (np.sqrt(cv2.GaussianBlur(image * image, (0, 0), 8)) + 4)
    responses = [np.abs(cv2.filter2D(image, -1, kernel)) for kernel in gabor_kernels()]
    return field_means(np.array(responses), rows=4, columns=8)


def gabor_kernels() -> list[np.ndarray]:
    """3 scales x 6 directions of 15 x 15, each of mean 0."""
    kernels = [
        cv2.getGaborKernel((15, 15), wavelength / 2, angle, wavelength, 1.0, 0, cv2.CV_32F)
        for wavelength in (3.0, 5.0, 9.0)
        for angle in np.arange(6) * np.pi / 6
    ]
    return [kernel - kernel.mean() for kernel in kernels]


def sift_vlad(picture: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Sums of RootSIFT residuals per word, each of norm 1 (Jegou et al., CVPR 2010; Arandjelovic and Zisserman, 2013).
    words: [K, 128]."""
    features = root_sift(picture)
    vlad = np.zeros_like(words)
    if len(features):
        nearest = nearest_word(features, words)
        np.add.at(vlad, nearest, features - words[nearest])
    return (vlad / np.maximum(np.linalg.norm(vlad, axis=1, keepdims=True), 1e-9)).ravel()


def root_sift(picture: np.ndarray) -> np.ndarray:
    """[M, 128] float32, M <= SIFT_FEATURES: square roots of SIFT descriptors with sum 1."""
    _, features = cv2.SIFT_create(SIFT_FEATURES).detectAndCompute(grey(picture).astype(np.uint8), None)
    if features is None:
        return np.zeros((0, 128), dtype=np.float32)
    return np.sqrt(features / np.maximum(features.sum(axis=1, keepdims=True), 1e-9))


def learn_words(pictures: Pictures) -> np.ndarray:
    """[WORDS, 128] float32 by k-means from a seeded start."""
    features = np.concatenate([root_sift(picture) for picture in pictures])
    words = np.random.default_rng(RANDOM_SEED).choice(features, WORDS, replace=len(features) < WORDS)
    for _ in range(KMEANS_ROUNDS):
        nearest = nearest_word(features, words)
        counts = np.bincount(nearest, minlength=WORDS)
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, features)
        words = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], words).astype(np.float32)
    return words


def nearest_word(features: np.ndarray, words: np.ndarray) -> np.ndarray:
    """[M] index of the nearest word by L2."""
    return np.argmin((words**2).sum(axis=1) - 2 * features @ words.T, axis=1)


def grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def field_means(maps: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Means of [C, H, W] over a grid of fields, as one vector."""
    strips = np.array_split(maps, rows, axis=1)
    fields = [field for strip in strips for field in np.array_split(strip, columns, axis=2)]
    return np.array([field.mean(axis=(1, 2)) for field in fields]).ravel()
