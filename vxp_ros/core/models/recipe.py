"""What model.yaml says: architecture and preprocessing of one model. The defaults are those of the VXP paper.

A recipe (config/models/NAME.yaml) says only what differs; the model.yaml of a trained model says everything, so that
a later change of a default cannot change the model.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import yaml

from ..errors import ModelError
from ..settings import from_nested, setting, walk
from ..yaml_file import read_yaml

SPARSE_LAYERS = 9
MOST_VFE_LAYERS = 8
RIG_ARCHITECTURES = ("lcpr", "einet")  # one descriptor of several cameras and a range image together


@dataclass(frozen=True)
class ImageRecipe:
    """Image network. Inputs are squashed to `size`; the feature map has size / stride of the backbone cells."""

    backbone: str = setting("dino_vits8", "image trunk", choices=("dino_vits8", "efficientnet_lite0", "resnet18"))
    weights: str = setting(
        "", "file with the trunk's weights to start from; empty: those of an installed package, else random"
    )
    size: list[int] = setting([224, 224], "rows and columns of the network's input", 32, 4096)
    mean: list[float] = setting([0.485, 0.456, 0.406], "subtracted from RGB in [0, 1]", 0.0, 1.0)
    std: list[float] = setting([0.229, 0.224, 0.225], "then divided by", 1e-3, 1.0)


@dataclass(frozen=True)
class LidarRecipe:
    """LiDAR network. Points enter in the view frame: at the camera, x forward, y left, z up, metres."""

    range: list[float] = setting(
        [0.0, -22.0, -4.0, 44.0, 22.0, 18.0], "x y z of the smallest and of the largest corner in metres", -1e4, 1e4
    )
    voxel: list[float] = setting([0.4, 0.4, 0.2], "voxel size x y z in metres", 1e-3, 100.0)
    max_points: int = setting(35, "points per voxel that are used", 1, 10_000)
    max_voxels: int = setting(10_000, "voxels per scan that are used", 1, 10_000_000)
    vfe: list[int] = setting([16, 64, 128], "widths of the layers that describe one voxel", 1, 4096)
    channels: list[int] = setting(
        [16, 16, 32, 64, 64, 128, 256, 256, 384], "widths of the nine sparse convolutions", 1, 4096
    )
    cells: list[int] = setting([28, 28], "rows and columns of the image grid that voxels are projected to", 1, 4096)
    nominal_view: list[float] = setting(
        [0.58141637, 1.9189833, 0.491184, 0.4597181],
        "fx/width, fy/height, cx/width, cy/height of the view used without a calibrated camera (a KITTI camera)",
        1e-3,
        100.0,
    )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Voxels per axis, in the order z, y, x."""
        low, high = self.range[:3], self.range[3:]
        return tuple(round((high[i] - low[i]) / self.voxel[i]) for i in (2, 1, 0))

    @property
    def coarse_grid(self) -> tuple[int, int, int]:
        """Voxels per axis (z, y, x) after the two convolutions of stride 2."""
        return tuple(math.ceil(math.ceil(n / 2) / 2) for n in self.grid)


@dataclass(frozen=True)
class ViewRecipe:
    """The view model: LiDAR as a picture of the camera's view, and the head that both sensors share."""

    cells: list[int] = setting([40, 80], "rows and columns of the picture that LiDAR points are projected to", 4, 1024)
    widths: list[int] = setting(
        [32, 64, 96], "channels of the LiDAR trunk's stages; the last stage has the camera's", 1, 1024
    )
    mixed: int = setting(64, "channels that the head mixes", 1, 1024)
    rows: int = setting(16, "summaries of all cells that the head keeps per channel", 1, 256)
    mixers: int = setting(2, "mixing layers of the head", 0, 16)
    tokens: int = setting(128, "width of the tokens by which the fused descriptor's maps look at each other", 4, 1024)


@dataclass(frozen=True)
class RigRecipe:
    """LCPR and EINet: a ring of cameras, and the LiDAR as a panorama of range (and, in EINet, of colour)."""

    cameras: int = setting(6, "cameras of the rig; the first so many of a frame are taken", 1, 6)
    cells: list[int] = setting(
        [32, 1056], "rows and columns of the range image; columns: cameras x image columns / 4", 1, 65536
    )
    farthest: float = setting(80.0, "metres; LiDAR points beyond do not count", 1.0, 1000.0)
    elevation: list[float] = setting(
        [-30.0, 10.0], "degrees of the lowest and the highest row, for scans that do not say their rings", -90.0, 90.0
    )
    clusters: int = setting(32, "clusters of NetVLAD", 1, 1024)
    interaction: bool = setting(
        True, "EINet: the cameras' colours on the LiDAR's points, and in training the LiDAR's depth for the cameras"
    )


@dataclass(frozen=True)
class PaperCompat:
    """Behaviour of the authors' release that we hold to be wrong: on only to reproduce it. `all` switches all on."""

    all: bool = setting(False, "every switch below")
    coarse_centre_stretched: bool = setting(
        False, "coarse voxel centres as if the grid were stretched, up to 0.6 m off"
    )
    no_zbuffer: bool = setting(False, "voxels hidden behind others count too")
    vfe_unmasked_padding: bool = setting(False, "empty point slots take part after the first layer")
    voxel_cap_scan_order: bool = setting(False, "the caps keep what the scanner saw first, not a random choice")
    resize_no_antialias: bool = setting(False, "images shrunk without a filter")
    lcpr_rows_by_angle: bool = setting(False, "rows of the range image by elevation, not by ring")
    lcpr_unaligned_panorama: bool = setting(False, "the range image looks ahead in its middle, the cameras elsewhere")
    lcpr_raw_range: bool = setting(False, "range in metres and -1 where empty, not a share of the farthest and 0")
    lcpr_zero_pad: bool = setting(False, "LCPR: panoramas end in zeros instead of closing to a circle")
    lcpr_unused_bn: bool = setting(False, "LCPR: keep the BatchNorms that are never applied, to load its weights")


@dataclass(frozen=True)
class Recipe:
    """One model. `trained_on` and `commit` are for people, `weights_sha256` guards the file; all else decides what a
    descriptor looks like."""

    name: str = setting("", "name of the model; its id is NAME-HASH")
    architecture: str = setting("vxp", "which network", choices=("vxp", "view", *RIG_ARCHITECTURES))
    dimension: int = setting(256, "length of a descriptor; of the view model's fused one half the length", 1, 65536)
    normalise: bool = setting(False, "scale descriptors to length 1 (the paper does not)")
    modalities: list[str] = setting(
        ["camera", "lidar"], "which networks the model has; LCPR: fused; EINet: fused, or one sensor to compare with"
    )
    trained_on: str = setting("", "training data and settings, in words")
    commit: str = setting("", "commit of the code that trained it")
    weights_sha256: str = setting("", "sha256 of model.safetensors; empty: not checked (folders made by hand)")
    image: ImageRecipe = field(default_factory=ImageRecipe)
    lidar: LidarRecipe = field(default_factory=LidarRecipe)
    view: ViewRecipe = field(default_factory=ViewRecipe)
    rig: RigRecipe = field(default_factory=RigRecipe)
    paper_compat: PaperCompat = field(default_factory=PaperCompat)

    @property
    def sees_rig(self) -> bool:
        """Whether the network describes all cameras and the scan together."""
        return self.architecture in RIG_ARCHITECTURES

    @property
    def scan_channels(self) -> int:
        """Channels of the range image: range, and with interaction red, green, blue and whether a camera saw it."""
        return 5 if self.architecture == "einet" and self.rig.interaction and self.modalities == ["fused"] else 1

    def length_of(self, modality: str) -> int:
        """Of a descriptor: the view model's fused one holds what both sensors tell, side by side."""
        return self.dimension * (2 if modality == "fused" and not self.sees_rig else 1)

    def lengths_in_words(self) -> str:
        return "descriptors of " + ", ".join(f"{self.length_of(name)} numbers by {name}" for name in self.modalities)

    def preprocessing(self) -> dict:
        """What besides the weights decides a descriptor; hashed into the model's id. Settings of parts that a model
        does not have are left out: a new one must not change the ids of models that know nothing of it."""
        values = asdict(self)
        for remark in ("trained_on", "commit", "weights_sha256"):
            del values[remark]
        del values["image"]["weights"], values["paper_compat"]["all"]
        if "fused" not in self.modalities:
            del values["view"]["tokens"]
        elif not self.sees_rig:
            values["view"]["fused"] = "side by side"  # before that, added
        if not self.sees_rig:
            del values["rig"]
            values["paper_compat"] = {k: v for k, v in values["paper_compat"].items() if not k.startswith("lcpr_")}
        return values


def read_recipe(path: Path) -> Recipe:
    """Read a recipe or a model.yaml. Raises ModelError that names every unknown key and every wrong value."""
    return parse_recipe(read_yaml(path), str(path))


def parse_recipe(content: object, origin: str) -> Recipe:
    """A Recipe from nested mappings. origin: what to call them in an error. Raises ModelError."""
    if not isinstance(content, dict):
        raise ModelError(f"{origin} must hold keys and values, like `name: vxp`")
    recipe, problems = from_nested(Recipe, content)
    if recipe:
        problems += _contradictions(recipe)
    if problems:
        raise ModelError(f"{origin}: {'; '.join(problems)}")
    if recipe.paper_compat.all:
        switches = {path: True for path, *_ in walk(PaperCompat)}
        recipe = replace(recipe, paper_compat=PaperCompat(**switches))
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The YAML text of a model.yaml: every value, defaults too."""
    return yaml.safe_dump(asdict(recipe), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)


def _contradictions(recipe: Recipe) -> list[str]:
    """Sentences about values that are fine one by one but not together."""
    image, lidar = recipe.image, recipe.lidar
    problems = [
        f"{path} must hold {wanted} numbers, got {len(values)}"
        for path, values, wanted in [
            ("image.size", image.size, 2),
            ("image.mean", image.mean, 3),
            ("image.std", image.std, 3),
            ("lidar.range", lidar.range, 6),
            ("lidar.voxel", lidar.voxel, 3),
            ("lidar.channels", lidar.channels, SPARSE_LAYERS),
            ("lidar.cells", lidar.cells, 2),
            ("lidar.nominal_view", lidar.nominal_view, 4),
            ("view.cells", recipe.view.cells, 2),
            ("view.widths", recipe.view.widths, 3),
            ("rig.cells", recipe.rig.cells, 2),
            ("rig.elevation", recipe.rig.elevation, 2),
        ]
        if len(values) != wanted
    ]
    if not recipe.name or not all(letter.isalnum() or letter in "_.-" for letter in recipe.name):
        problems.append(f"name must be made of letters, digits and _ . -, got {recipe.name!r}")
    problems += _modality_problems(recipe)
    if not 1 <= len(lidar.vfe) <= MOST_VFE_LAYERS:
        problems.append(f"lidar.vfe must hold 1 to {MOST_VFE_LAYERS} widths, got {len(lidar.vfe)}")
    return problems or _range_problems(lidar) + (_rig_problems(recipe) if recipe.sees_rig else [])


def _modality_problems(recipe: Recipe) -> list[str]:
    modalities = recipe.modalities
    if recipe.architecture == "lcpr" and modalities != ["fused"]:
        return [f"modalities of LCPR must be [fused], got {modalities}"]
    if recipe.architecture == "einet" and modalities not in (["fused"], ["camera"], ["lidar"]):
        return [f"modalities of EINet must be [fused], [camera] or [lidar], got {modalities}"]
    if not modalities or set(modalities) - {"camera", "lidar", "fused"}:
        return [f"modalities must be some of camera, lidar and fused, got {modalities}"]
    if not recipe.sees_rig and "fused" in modalities and (recipe.architecture != "view" or len(set(modalities)) < 3):
        return ["modalities: fused needs the architecture view, and camera and lidar beside it, or lcpr or einet"]
    if recipe.architecture == "view" and any(value % 4 for value in (*recipe.view.cells, recipe.view.tokens)):
        return [f"view.cells and view.tokens must be multiples of 4, got {recipe.view.cells} and {recipe.view.tokens}"]
    return []


def _rig_problems(recipe: Recipe) -> list[str]:
    (height, width), rig, problems = recipe.image.size, recipe.rig, []
    if recipe.image.backbone != "resnet18":
        problems.append(f"image.backbone of {recipe.architecture} must be resnet18, got {recipe.image.backbone}")
    if height % 32 or width % 32:
        problems.append(f"image.size must be made of multiples of 32, got {recipe.image.size}")
    if 4 * rig.cells[1] != rig.cameras * width:
        problems.append(
            f"rig.cells must have as many columns as {rig.cameras} images of {width} columns have together at a "
            f"quarter of the size, {rig.cameras * width // 4}; got {rig.cells[1]}"
        )
    if recipe.modalities == ["fused"] and recipe.dimension % 2:
        problems.append(f"dimension must be even, one half for each sensor, got {recipe.dimension}")
    if rig.elevation[0] >= rig.elevation[1]:
        problems.append(f"rig.elevation must rise, got {rig.elevation}")
    return problems


def _range_problems(lidar: LidarRecipe) -> list[str]:
    low, high = lidar.range[:3], lidar.range[3:]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return [f"lidar.range must rise from the smallest to the largest corner, got {lidar.range}"]
    if low[0] < 0:
        return [f"lidar.range must start at x >= 0, in front of the camera, got {low[0]:g}"]
    spans = [(high[i] - low[i]) / lidar.voxel[i] for i in range(3)]
    if any(abs(span - round(span)) > 1e-6 for span in spans):
        return [f"lidar.range must be a whole number of voxels in each direction, got {spans}"]
    if not all(8 <= span <= 2048 for span in spans):
        return [f"lidar.range must be 8 to 2048 voxels wide in each direction, got {[round(s) for s in spans]}"]
    return []
