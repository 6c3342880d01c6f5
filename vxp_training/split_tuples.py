"""Which tuples of a NUSC-PR split train and which choose the weights, and the triplets that LCPR mines itself."""

import numpy as np

from vxp_ros.core.errors import SourceError

from .datasets.nusc_pr.compat import NuscPrCompat
from .datasets.nusc_pr.draws import draw_order, generator
from .datasets.nusc_pr.keyframes import Queries, Tuples
from .datasets.nusc_pr.nearness import NEGATIVE_M, distances
from .datasets.nusc_pr.read import NuscPrSplit
from .datasets.nusc_pr.supervised import draw_tuples, right_answers
from .fusion_losses import MARGIN
from .protocols.trial import parse_switches

HELD_OUT = 0.1  # of the scenes, where the split has no validation queries
DRAWN, LOOKED_AT, NEGATIVES = 1000, 60, 6  # LCPR: random negatives, those of them that are nearest, those that are kept
NONE = -1


def tuple_sets(split: NuscPrSplit) -> tuple[Tuples, Tuples]:
    """(for training, for validation), of the districts that are trained on.

    Validation queries of the supervised scheme get tuples of their own. The self-supervised scheme has none, so a tenth
    of the scenes is held out. Raises SourceError when either set is empty.
    """
    trained, validation = split.tuples(*split.trained), validation_tuples(split)
    if not len(validation):
        trained, validation = without_scenes(split, trained)
    for tuples, use in ((trained, "train"), (validation, "validate")):
        if not len(tuples):
            raise SourceError(f"the split has no tuple to {use} on in {', '.join(split.trained)} whose keyframes are "
                              "all in the prepared data")  # fmt: skip
    return trained, validation


def validation_tuples(split: NuscPrSplit) -> Tuples:
    """Drawn as those of the training are, each query's from its district's database."""
    compat, seed = compat_of(split), split.facts["seed"]
    parts = [
        draw_tuples(split.keyframes, part.validation.query, part.database, seed, f"{name} validation", compat)
        for name, part in split.districts.items()
        if name in split.trained
    ]
    return Tuples.join(parts)


def without_scenes(split: NuscPrSplit, tuples: Tuples) -> tuple[Tuples, Tuples]:
    """(the others, those whose query is in a held-out scene)."""
    scene_of = split.keyframes.scene[tuples.query]
    scenes = np.unique(scene_of)
    count = max(round(HELD_OUT * len(scenes)), 1)
    held = scenes[draw_order(generator(split.facts["seed"], "held out"), len(scenes))[:count]]
    is_held = np.isin(scene_of, held)
    return tuple(
        Tuples(tuples.query[mask], tuples.positives[mask], tuples.negatives[mask]) for mask in (~is_held, is_held)
    )


def compat_of(split: NuscPrSplit) -> NuscPrCompat:
    return parse_switches(NuscPrCompat, ",".join(split.facts["paper_compat"]))


def as_rows(tuples: Tuples) -> np.ndarray:
    """[T, 7] int64: query, two positives, four negatives."""
    return np.column_stack([tuples.query, tuples.positives, tuples.negatives])


def answerable(split: NuscPrSplit) -> dict[str, Queries]:
    """Of each trained district the training queries with the database's rows within 9 m; those without are left out.

    Raises SourceError for the self-supervised scheme, whose training knows no poses.
    """
    if split.scheme != "supervised":
        raise SourceError("triplets are mined by poses: give a split of vxp nuscpr supervised, or train by tuples")
    found = {}
    for name in split.trained:
        part = split.districts[name]
        every = right_answers(split.keyframes, part.database, compat_of(split))(part.train)
        kept = [i for i, right in enumerate(every.right) if len(right)]
        found[name] = Queries(every.query[kept], [every.right[i] for i in kept])
    return found


def mine(
    queries: Queries,
    database: np.ndarray,
    xy: np.ndarray,
    vectors: np.ndarray,
    remembered: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """One epoch's triplets of a district by LCPR's rule: [M, 8] rows, query, positive and up to six negatives, then -1.

    The positive is the right answer that is nearest in descriptor space. Of 1000 random frames of the database beyond
    18 m and the negatives remembered from earlier epochs, the 60 nearest are looked at, and the first six that violate
    the margin are kept; a query without any is skipped.

    xy: [N, 2] metres. vectors: [N, D], by row of the keyframes. remembered: [Q, 6] rows or -1, is brought up to date.
    """
    found = []
    for number, (query, right) in enumerate(zip(queries.query, queries.right, strict=True)):
        far = database[distances(xy[[query]], xy[database])[0] > NEGATIVE_M]
        if not len(far):
            continue
        to_right = apart(vectors, query, right)
        old = remembered[number][remembered[number] != NONE]
        pool = np.union1d(random.choice(far, DRAWN), old)
        to_pool = apart(vectors, query, pool)
        nearest = np.argsort(to_pool, kind="stable")[:LOOKED_AT]
        hard = pool[nearest][to_pool[nearest] < to_right.min() + MARGIN][:NEGATIVES]
        if len(hard):
            remembered[number] = padded(hard)
            found.append([query, right[to_right.argmin()], *remembered[number]])
    return np.array(found, np.int64).reshape(-1, 2 + NEGATIVES)


def apart(vectors: np.ndarray, query: int, rows: np.ndarray) -> np.ndarray:
    """[R] descriptor distances."""
    return np.linalg.norm(vectors[rows] - vectors[query], axis=1)


def padded(rows: np.ndarray) -> np.ndarray:
    return np.pad(rows, (0, NEGATIVES - len(rows)), constant_values=NONE)
