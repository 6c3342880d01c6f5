"""A folder of `vxp nuscpr` back as arrays. Nothing in it is trusted: pickles may hold plain values only.

split = read_split("nuscpr/supervised_data")
tuples = split.tuples("bs")               # query [T], positives [T, 2], negatives [T, 4]: row numbers
infos = read_infos("nuscpr/supervised_data")
infos[tuples.query[0]]["cam_infos"]["CAM_FRONT"]["filename"]
"""

import hashlib
import io
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from vxp_ros.core.errors import SourceError

from .files import COLUMNS, DATABASE, FACTS, INDEX_FOLDER, INDICES, INFOS, RIGHT, SPLIT, TUPLES
from .infos import with_clean_keys
from .keyframes import DistrictSplit, Keyframes, Queries, Tuples
from .make import FORMAT
from .supervised import NEGATIVES, POSITIVES

# What json, numpy and pickle raise for damage.
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError, MemoryError,
          pickle.UnpicklingError, BadZipFile)  # fmt: skip
TRAINED_ON = "bs"  # the supervised scheme learns from this district, the others are zero-shot


@dataclass(frozen=True)
class NuscPrSplit:
    """One scheme. All numbers are rows of `keyframes`, which are those of the list that `read_infos` gives.

    scheme: "supervised" or "self-supervised". districts: "bs", "son", "sq", "shv" -> DistrictSplit. facts: split.json.
    """

    scheme: str
    keyframes: Keyframes
    districts: dict[str, DistrictSplit]
    facts: dict

    def tuples(self, *districts: str) -> Tuples:
        """Training tuples of these districts, ordered by query; of all without any."""
        return Tuples.join([self.districts[name].tuples for name in districts or self.districts])

    @property
    def zero_shot(self) -> list[str]:
        """Districts that training never sees: all but bs when supervised, none when self-supervised or without bs."""
        is_split = self.scheme == "supervised" and TRAINED_ON in self.districts
        return [name for name in self.districts if name != TRAINED_ON] if is_split else []

    @property
    def trained(self) -> list[str]:
        """The other districts, whose tuples and queries are learnt from."""
        return [name for name in self.districts if name not in self.zero_shot]

    @property
    def is_leak_free(self) -> bool:
        """Made without the published database and dates, so that a query's own drive shortly before does not count."""
        return "nuscpr_db_all_dates" not in self.facts["paper_compat"]


class PlainUnpickler(pickle.Unpickler):
    """Dicts, lists, numbers and text. Whatever would call a function is refused."""

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(f"it wants {module}.{name}, only plain values are read")


def read_split(folder: str | Path) -> NuscPrSplit:
    """Raises SourceError for a folder that is none, and for files that are missing, changed or do not fit together."""
    files = Files(folder)
    keyframes = files.columns()
    districts = {name: read_district(files, keyframes, name) for name in keyframes.districts}
    return NuscPrSplit(files.facts["scheme"], keyframes, districts, files.facts)


def read_infos(folder: str | Path) -> list[dict]:
    """One record per keyframe (infos.py), with our names of the keys whatever the files have."""
    return [with_clean_keys(info) for info in Files(folder).plain(f"{INFOS}/nuscenes_infos.pkl")]


class Files:
    """The files of a folder, each compared with its sha256 in split.json before anything looks into it."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()
        try:
            self.facts = json.loads((self.folder / FACTS).read_text())
            made_by, version = self.facts["made_by"], self.facts["format"]
            self._hashes = dict(self.facts["files"])
        except DAMAGE as problem:
            raise SourceError(
                f"{self.folder} is no folder of a NUSC-PR split ({problem!r}); make one with vxp nuscpr"
            ) from problem
        if made_by != "vxp nuscpr" or version != FORMAT or self.facts["scheme"] not in INDEX_FOLDER:
            raise SourceError(f"{self.folder} has format {version}, this program reads {FORMAT}; make it anew")

    def __contains__(self, name: str) -> bool:
        return name in self._hashes

    def content(self, name: str) -> bytes:
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise SourceError(f"{path} cannot be read ({problem.strerror}); make the split anew") from problem
        if hashlib.sha256(content).hexdigest() != self._hashes.get(name):
            raise SourceError(f"{path} is not what {FACTS} says: it was changed or damaged; make the split anew")
        return content

    def plain(self, name: str):
        with damage_named(self.folder / name):
            return PlainUnpickler(io.BytesIO(self.content(name))).load()

    def array(self, name: str) -> np.ndarray:
        with damage_named(self.folder / name):
            return np.load(io.BytesIO(self.content(name)), allow_pickle=False)

    def columns(self) -> Keyframes:
        with damage_named(self.folder / COLUMNS), self.array(COLUMNS) as stored:
            columns = {field.name: stored[field.name] for field in fields(Keyframes)}
            keyframes = Keyframes(**{**columns, "districts": tuple(columns["districts"].tolist())})
            if any(len(columns[name]) != len(keyframes) for name in columns if name != "districts"):
                raise ValueError("columns of different lengths")
            return keyframes


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as problem:
        raise SourceError(f"{path} is damaged ({problem!r}); make the split anew with vxp nuscpr") from problem


def read_district(files: Files, keyframes: Keyframes, name: str) -> DistrictSplit:
    with damage_named(files.folder):
        where = INDEX_FOLDER[files.facts["scheme"]]
        rows = keyframes.rows_of(name)
        database = checked(files.array(f"{where}/{DATABASE.format(name)}"), rows)
        tuples = as_tuples(files.plain(f"{where}/{TUPLES.format(name)}"), rows)
        test = as_queries(files.plain(f"{where}/{RIGHT.format(name, 'test')}"), rows, database)
        if where != INDICES:
            return DistrictSplit(database, tuples.query, tuples, Queries(database[:0], []), test)
        train, validation = (local_rows(files.array(f"{SPLIT}/{name}_{group}_query.npy"), rows)
                             for group in ("train", "val"))  # fmt: skip
        right = f"{where}/{RIGHT.format(name, 'val')}"
        known = as_queries(files.plain(right), rows, database) if right in files else Queries(validation, None)
        return DistrictSplit(database, train, tuples, known, test)


def as_tuples(stored: dict[int, dict], rows: np.ndarray) -> Tuples:
    """rows: those of the district, which all numbers must be among."""
    positives, negatives = ([row[key] for row in stored.values()] for key in ("pos", "neg"))
    return Tuples(
        checked(list(stored), rows),
        checked(positives, rows).reshape(len(stored), POSITIVES),
        checked(negatives, rows).reshape(len(stored), NEGATIVES),
    )


def as_queries(stored: dict[int, list[int]], rows: np.ndarray, database: np.ndarray) -> Queries:
    return Queries(checked(list(stored), rows), [checked(right, database) for right in stored.values()])


def local_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Row numbers of a table [N, 3] whose first column counts within the district."""
    return rows[table[:, 0].astype(np.int64)]


def checked(numbers, among: np.ndarray) -> np.ndarray:
    """int64, all of them among these. Raises ValueError."""
    found = np.array(numbers)
    if found.size and (found.dtype.kind != "i" or not np.isin(found, among).all()):
        raise ValueError("a row number that is none of its district or database")
    return found.astype(np.int64)
