"""manifest.json of a map folder: what the map is, and size and sha256 of every other file.

The folder's name carries the start of the manifest's own sha256, so one name binds every byte of the map. Reading goes
from the outside in: manifest hash, manifest, set of files, sizes, file hashes; only then does a parser see a file.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .datatypes import MODALITIES
from .errors import MapError
from .plain_file import read_large_file, read_plain_file

Data = bytes | memoryview
FORMAT = 1
NAME = "manifest.json"
SIZE_LIMIT = 1 << 20  # bytes of a manifest; ours are about 3 kB
PLACE_LIMIT = 16 << 20  # bytes for each place; our settings allow a cloud of 4 MB and a picture of some more
MAP_LIMIT = 16 << 30  # a map is held in memory
TEXT_LIMIT = 256  # characters of a name in it
DIGEST_DIGITS = 12  # hex digits of its sha256 in the folder's name
ALWAYS = (
    "id.npy", "stamp.npy", "T_map_base.npy", "odometry.npy", "drive.npy",
    "clouds.npy", "clouds_offsets.npy", "thumbnails.bin", "thumbnails_offsets.npy",
)  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json, in the order of its keys.

    created: ISO 8601, UTC. models: modality -> model_id. dimensions: modality -> D, of the modalities that the map
    holds. files: name -> {"bytes": int, "sha256": hex}. complete: false would mean a map whose making broke off.
    """

    format: int
    created_by: str
    created: str
    models: dict[str, str]
    dimensions: dict[str, int]
    places: int
    map_frame: str
    base_frame: str
    rig: dict
    files: dict[str, dict]
    complete: bool

    def to_bytes(self) -> bytes:
        """The JSON text, as hashed. Raises MapError when the rig cannot be written as JSON, or makes it too large."""
        try:
            data = json.dumps(asdict(self), indent=2, allow_nan=False).encode()
        except (TypeError, ValueError) as problem:
            raise MapError(f"the map's rig cannot be written as JSON: {problem}") from problem
        if len(data) > SIZE_LIMIT:
            raise MapError(f"the map's manifest would have {len(data)} bytes, more than {SIZE_LIMIT}: shorten the rig")
        return data


def required_files(dimensions: dict) -> set[str]:
    """All files of a map but the manifest and the indexes, which can be made anew from the descriptors."""
    return {*ALWAYS, *(f"{part}_{modality}.npy" for modality in dimensions for part in ("has", "descriptors"))}


def index_file(modality: str) -> str:
    return f"index_{modality}.faiss"


def digest_of(data: bytes) -> str:
    """What a folder's name says about its manifest."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]


def read_folder(folder: Path, digest: str) -> tuple[Manifest, dict[str, Data]]:
    """Read a version folder whose manifest hash starts with `digest`; no parser sees a byte before its hash is right.

    Returns the manifest and the verified bytes of each file. Raises MapError with the first fault, FileNotFoundError
    when the folder vanishes meanwhile.
    """
    found = list_files(folder)
    if NAME not in found:
        raise MapError(f"{folder} has no {NAME}: it is no complete map")
    if found[NAME] > SIZE_LIMIT:
        raise MapError(f"{folder / NAME} has {found[NAME]} bytes, more than a manifest may have ({SIZE_LIMIT})")
    with _told(folder / NAME):
        data = read_plain_file(folder / NAME, SIZE_LIMIT, follow=False)
    if digest_of(data) != digest:
        raise MapError(f"{folder / NAME} is damaged or changed: its hash is {digest_of(data)}, expected {digest}")
    manifest = parse_manifest(data, str(folder / NAME))
    check_sizes(folder, manifest, found)
    return manifest, {name: _read_verified(folder / name, entry) for name, entry in manifest.files.items()}


def list_files(folder: Path) -> dict[str, int]:
    """Name and size in bytes of everything in the folder. Raises MapError unless all are plain files."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                raise MapError(f"{folder}/{entry.name} is no plain file; a map folder holds nothing else")
            found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def check_sizes(folder: Path, manifest: Manifest, found: dict[str, int]) -> None:
    """Raises MapError unless the folder holds exactly the manifest's files, each with its size, none too large."""
    missing = sorted(set(manifest.files) - set(found))
    extra = sorted(set(found) - set(manifest.files) - {NAME})
    if missing or extra:
        faults = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has an extra {', '.join(extra)}"] * bool(extra)
        raise MapError(f"{folder} {' and '.join(faults)}, by its manifest")
    for name, entry in manifest.files.items():
        if found[name] != entry["bytes"]:
            raise MapError(f"{folder / name} has {found[name]} bytes, expected {entry['bytes']}")
    total, limit = sum(found.values()), min(manifest.places * PLACE_LIMIT, MAP_LIMIT)
    if total > limit:
        raise MapError(f"{folder} has {total} bytes, more than a map of {manifest.places} places may have ({limit})")


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest of these bytes. Raises MapError when they are none, or of a format that this version cannot read."""
    try:
        values = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise MapError(f"{where} is no JSON: {problem}") from None
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise MapError(f"{where} is no map manifest: it has no format number")
    if values["format"] != FORMAT:
        writer = str(values.get("created_by"))[:TEXT_LIMIT]
        raise MapError(
            f"{where}: the map has format {values['format']}, written by {writer!r}; this version reads format "
            f"{FORMAT} and no newer one: update vxp_ros, or build the map again"
        )
    fault = fault_of(values)
    if fault:
        raise MapError(f"{where}: {fault}")
    return Manifest(**values)


def fault_of(values: dict) -> str:
    """What is wrong with the values of a format 1 manifest, or ""."""
    if set(values) != set(Manifest.__dataclass_fields__):
        return f"keys differ from those of format {FORMAT}: {sorted(set(values) ^ set(Manifest.__dataclass_fields__))}"
    if not all(_is_text(values[key]) for key in ("created_by", "created", "map_frame", "base_frame")):
        return "created_by, created, map_frame and base_frame must be short texts"
    if not _is_count(values["places"]) or not isinstance(values["rig"], dict):
        return "places must be a positive number and rig an object"
    models, dimensions, files = values["models"], values["dimensions"], values["files"]
    if not isinstance(models, dict) or set(models) - set(MODALITIES) or not all(map(_is_text, models.values())):
        return f"models must give {', '.join(MODALITIES)} a model id"
    if not isinstance(dimensions, dict) or not dimensions or not set(dimensions) <= set(models):
        return "dimensions must name some of the modalities of models"
    if not all(map(_is_count, dimensions.values())):
        return "dimensions must be positive numbers"
    if not isinstance(files, dict) or not all(map(_is_file_entry, files.values())):
        return "files must give each file its bytes and sha256"
    required, optional = required_files(dimensions), {index_file(modality) for modality in dimensions}
    wrong = (required - set(files)) | (set(files) - required - optional)
    if wrong:
        return f"files are not those of format {FORMAT}, see {', '.join(sorted(wrong))[:TEXT_LIMIT]!r}"
    return "" if values["complete"] is True else "the map is not complete: its making broke off"


def _refuse_constant(text: str):
    raise ValueError(f"{text} is no number")


def _is_text(value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_LIMIT and value.isprintable()


def _is_count(value) -> bool:
    return type(value) is int and 0 < value < 1 << 40


def _is_file_entry(value) -> bool:
    if not isinstance(value, dict) or set(value) != {"bytes", "sha256"}:
        return False
    return type(value["bytes"]) is int and value["bytes"] >= 0 and isinstance(value["sha256"], str)


def _read_verified(path: Path, entry: dict) -> Data:
    with _told(path):
        data = read_large_file(path, entry["bytes"])
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise MapError(f"{path} is damaged or changed: its sha256 is {digest[:12]}…, expected {entry['sha256'][:12]}…")
    return data


@contextmanager
def _told(path: Path):
    """What the disk says, as a MapError."""
    try:
        yield
    except FileNotFoundError:  # the reader starts again: see read_folder
        raise
    except OSError as problem:
        raise MapError(f"{path} cannot be read: {problem.strerror}") from problem
