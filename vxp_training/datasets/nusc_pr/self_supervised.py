"""The self-supervised split (specification, section 4.3): tuples by time within a scene, test drives apart."""

import numpy as np

from .compat import NuscPrCompat
from .draws import draw_distinct, draw_order, generator
from .keyframes import DistrictSplit, Keyframes, Queries, Tuples
from .nearness import NEGATIVE_M, POSITIVE_M, chunks, distances

TEST_SHARE = 150 / 850  # of the scenes
POSITIVES, NEGATIVES = 2, 4
HISTORY = 12  # keyframes of a scene before its first query: 2 positives, 4 negatives, 6 (3 s) between them
NEGATIVE_GAP = 9  # keyframes from a query back to its latest negative


def split_self_supervised(
    keyframes: Keyframes, seed: int, compat: NuscPrCompat = NuscPrCompat()
) -> dict[str, DistrictSplit]:
    """District -> its split. Positions (3-D) say what is right in the test and that negatives are elsewhere."""
    is_test = test_scenes(keyframes, seed, compat)[keyframes.scene]
    return {name: split_district(keyframes, name, is_test, seed, compat) for name in keyframes.districts}


def split_district(
    keyframes: Keyframes, name: str, is_test: np.ndarray, seed: int, compat: NuscPrCompat
) -> DistrictSplit:
    """is_test: [N] bool, the keyframe is of a test scene."""
    rows = keyframes.rows_of(name)
    database, queries = rows[~is_test[rows]], rows[is_test[rows]]
    tuples = draw_tuples(keyframes, database, generator(seed, f"{name} negatives"), compat)
    right = []
    for part in chunks(len(queries)):
        metres = distances(keyframes.position[queries[part]], keyframes.position[database])
        right += [database[row] for row in metres <= POSITIVE_M]
    return DistrictSplit(database, tuples.query, tuples, Queries(rows[:0], []), Queries(queries, right))


def test_scenes(keyframes: Keyframes, seed: int, compat: NuscPrCompat) -> np.ndarray:
    """[S] bool: 150 of 850 scenes, or as large a share of others. In each district by whole drives, so that no test
    scene has a neighbour of its own drive in the database; as published, scene by scene."""
    count = int(keyframes.scene[-1]) + 1
    if compat.nuscpr_random_scenes:
        drawn = draw_order(generator(seed, "scenes"), count)[: round(count * TEST_SHARE)]
    else:
        parts = [test_drives(keyframes, name, generator(seed, f"{name} drives")) for name in keyframes.districts]
        drawn = np.concatenate(parts)
    return np.isin(np.arange(count), drawn)


def test_drives(keyframes: Keyframes, name: str, random: np.random.Generator) -> np.ndarray:
    """The scenes of a district's drives for the test: in random order, each that fits into its share of the scenes.
    The shortest where none fits; none where there is only one."""
    rows = keyframes.rows_of(name)
    scenes, first = np.unique(keyframes.scene[rows], return_index=True)
    log_of = keyframes.log[rows][first]
    logs, sizes = np.unique(log_of, return_counts=True)
    if len(logs) < 2:
        return np.zeros(0, np.int32)
    room, taken = round(len(scenes) * TEST_SHARE), []
    for log in draw_order(random, len(logs)):
        if sizes[log] <= room:
            taken.append(logs[log])
            room -= sizes[log]
    return scenes[np.isin(log_of, taken or [logs[sizes.argmin()]])]


def draw_tuples(keyframes: Keyframes, rows: np.ndarray, random: np.random.Generator, compat: NuscPrCompat) -> Tuples:
    """For each keyframe j >= 12 of a scene: positives j-1 and j-2, negatives four of those up to j-9, ascending; they
    are farther than 18 m away, unless published negatives are asked for. A car that stood still gives no tuple."""
    found = [Tuples(*(np.zeros(shape, np.int64) for shape in (0, (0, POSITIVES), (0, NEGATIVES))))]
    for scene in np.unique(keyframes.scene[rows]):
        frames = rows[keyframes.scene[rows] == scene]
        later = np.arange(HISTORY, len(frames))
        is_allowed = np.arange(len(frames))[None] <= later[:, None] - NEGATIVE_GAP
        if not compat.nuscpr_unchecked_negatives:
            place = keyframes.position[frames]
            is_allowed &= distances(place[later], place) > NEGATIVE_M
        negatives, is_drawn = draw_distinct(random, is_allowed, NEGATIVES)
        later, negatives = later[is_drawn], np.sort(negatives[is_drawn], axis=1)
        positives = frames[later[:, None] - np.arange(1, POSITIVES + 1)]
        found.append(Tuples(frames[later], positives, frames[negatives]))
    return Tuples.join(found)
