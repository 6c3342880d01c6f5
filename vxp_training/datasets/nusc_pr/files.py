"""The files of a split, named and typed as the authors' scripts write them (specification, sections 4.2 to 4.4).

Beside them stand two of ours: split.json, how it was made and every file's sha256, and keyframes.npz, so that a reader
needs neither the infos nor the tables. Pickles hold plain values in protocol 3, so that they are the same bytes from
all versions of Python and are read by old ones.
"""

import io
import pickle
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np

from vxp_ros.core import fsio

from .compat import NuscPrCompat
from .infos import with_legacy_keys
from .keyframes import DistrictSplit, Keyframes, Queries, Tuples
from .supervised import planar

INFOS, SPLIT = "generate_basic_infos", "split_dataset"
CHOSEN, INDICES = "select_pos_neg_samples_by_dis", "generate_selected_indicies"  # sic
COLUMNS, FACTS = "keyframes.npz", "split.json"
ALL_TUPLES = "all_train_query_pos_neg_index_in_infos.pkl"
# The folder of a scheme's index files, and the names of those that both schemes have.
INDEX_FOLDER = {"supervised": INDICES, "self-supervised": SPLIT}
DATABASE = "{}_db_index_in_infos.npy"
TUPLES = "{}_train_query_pos_neg_index_in_infos.pkl"
RIGHT = "{}_{}_query_gt_index_in_infos.pkl"


def infos_files(infos: list[dict], keyframes: Keyframes, compat: NuscPrCompat) -> Iterable[tuple[str, bytes]]:
    """Path and content, one after the other, as all functions here give them."""
    written = [with_legacy_keys(info) for info in infos] if compat.nuscpr_legacy_keys else infos
    for name in keyframes.districts:
        yield f"{INFOS}/nuscenes_infos-{name}.pkl", pickled([written[row] for row in keyframes.rows_of(name)])
    yield f"{INFOS}/nuscenes_infos.pkl", pickled(written)
    columns = {field.name: np.array(getattr(keyframes, field.name)) for field in fields(Keyframes)}
    yield COLUMNS, saved_columns(columns)


def self_supervised_files(
    infos: list[dict], keyframes: Keyframes, split: dict[str, DistrictSplit]
) -> Iterable[tuple[str, bytes]]:
    every = Tuples.join([part.tuples for part in split.values()])
    yield f"{SPLIT}/{ALL_TUPLES}", pickled(tuple_rows(every, infos))
    for name, part in split.items():
        yield f"{SPLIT}/{TUPLES.format(name)}", pickled(tuple_rows(part.tuples, infos))
        yield f"{SPLIT}/{DATABASE.format(name)}", saved(part.database)
        yield f"{SPLIT}/{RIGHT.format(name, 'test')}", pickled(right_rows(part.test))


def supervised_files(
    infos: list[dict], keyframes: Keyframes, split: dict[str, DistrictSplit]
) -> Iterable[tuple[str, bytes]]:
    tokens = list(keyframes.token)  # numpy.str_, each object once
    for name, part in split.items():
        rows = keyframes.rows_of(name)
        groups = {"db": part.database, "train_query": part.train, "val_query": part.validation.query,
                  "test_query": part.test.query}  # fmt: skip
        for group, numbers in groups.items():
            local = np.column_stack([np.searchsorted(rows, numbers), planar(keyframes)[numbers]])
            yield f"{SPLIT}/{name}_{group}.npy", saved(local.astype(np.float32))
            yield f"{SPLIT}/{name}_{group}_sample_token.npy", saved(keyframes.token[numbers])
        yield f"{SPLIT}/{name}_sample_token.npy", saved(keyframes.token[rows])
        yield f"{INDICES}/{DATABASE.format(name)}", saved(part.database)
        chosen = f"{CHOSEN}/{name}_train_query_pos_neg_tokens.pkl"
        yield chosen, pickled(in_tokens(tuple_rows(part.tuples), tokens))
        yield f"{INDICES}/{TUPLES.format(name)}", pickled(tuple_rows(part.tuples))
        for group, queries in {"test": part.test, "val": part.validation}.items():
            if queries.right is not None:
                gt = {query: {"gt": right} for query, right in right_rows(queries).items()}
                yield f"{CHOSEN}/{name}_{group}_query_gt_tokens.pkl", pickled(in_tokens(gt, tokens))
                yield f"{INDICES}/{RIGHT.format(name, group)}", pickled(right_rows(queries))


def tuple_rows(tuples: Tuples, infos: list[dict] | None = None) -> dict[int, dict]:
    """query -> {pos, neg}, and loc where infos are given."""
    columns = (tuples.query.tolist(), tuples.positives.tolist(), tuples.negatives.tolist())
    rows = {query: {"pos": pos, "neg": neg} for query, pos, neg in zip(*columns, strict=True)}
    if infos is not None:
        for query, row in rows.items():
            row["loc"] = infos[query]["loc"]
    return rows


def right_rows(queries: Queries) -> dict[int, list[int]]:
    return {query: right.tolist() for query, right in zip(queries.query.tolist(), queries.right, strict=True)}


def in_tokens(rows: dict[int, dict], tokens: list[np.str_]) -> dict[np.str_, dict]:
    return {
        tokens[query]: {key: [tokens[number] for number in numbers] for key, numbers in row.items()}
        for query, row in rows.items()
    }


def pickled(value: object) -> bytes:
    """numpy 2 names another home of its scalars than numpy 1 knows; the old name is understood by both."""
    return pickle.dumps(value, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def saved_columns(columns: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    return buffer.getvalue()


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Write them below a folder, flushed. Returns path -> sha256 in hex."""
    hashes = {}
    for name, content in files:
        fsio.create_folders((folder / name).parent)
        _, hashes[name] = fsio.write_file(folder / name, [content])
    for child in {(folder / name).parent for name in hashes}:
        fsio.sync_folder(child)
    return hashes
