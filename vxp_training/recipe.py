"""What a training recipe says (config/training/NAME.yaml). The defaults are those of the VXP paper for Oxford RobotCar.

The networks' own recipe (config/models/NAME.yaml) is named by `model`.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import yaml

from vxp_ros.core.errors import ModelError
from vxp_ros.core.resources import share_folder
from vxp_ros.core.settings import from_nested, setting

from .losses import KINDS, MARGIN

STAGES = ("teacher", "local", "global")  # of VXP
VIEW_STAGES = ("joint", "fusion")  # of the view model
SPLIT_STAGES = ("tuples", "mined")  # of LCPR and EINet, from a NUSC-PR split
RIG_STAGES = ("places", *SPLIT_STAGES)  # of LCPR and EINet
STAGES_OF = {"vxp": STAGES, "view": VIEW_STAGES, "lcpr": RIG_STAGES, "einet": RIG_STAGES}  # by architecture


@dataclass(frozen=True)
class OptimiserRecipe:
    """Adam; the learning rate of an epoch is max(lr * 0.95^floor(epoch / lr_step), min_lr)."""

    epochs: int = setting(30, "passes over the data", 1, 100_000)
    batch: int = setting(8, "samples per step, over all processes", 1, 100_000)
    lr: float = setting(1e-4, "learning rate at the start", 1e-9, 10.0)
    min_lr: float = setting(5e-6, "learning rate that it does not fall below", 0.0, 10.0)
    lr_step: int = setting(2, "epochs between two falls", 1, 100_000)
    weight_decay: float = setting(1e-6, "of Adam", 0.0, 10.0)


@dataclass(frozen=True)
class TeacherRecipe(OptimiserRecipe):
    """Stage 1: the image network learns by triplets."""

    epochs: int = setting(100, "passes over the data", 1, 100_000)
    batch: int = setting(16, "samples per step in the first epoch, made of pairs", 4, 100_000)
    max_batch: int = setting(80, "what the batch grows to", 4, 100_000)
    batch_growth: float = setting(1.4, "factor by which the batch grows after an epoch", 1.0, 10.0)
    grow_below: float = setting(0.7, "it grows when less than this part of the triplets violated the margin", 0.0, 1.0)
    lr: float = setting(1e-5, "learning rate at the start", 1e-9, 10.0)
    min_lr: float = setting(1e-6, "learning rate that it does not fall below", 0.0, 10.0)
    margin: float = setting(MARGIN, "of the triplet loss", 0.0, 1e6)
    freeze_backbone: bool = setting(False, "train only pooling and head")
    keep: str = setting(
        "loss_and_violations",
        "which epoch's weights: smallest validation loss times violating triplets, smallest loss, or the last",
        choices=("loss_and_violations", "loss", "last"),
    )
    colours: bool = setting(True, "augmentation: brightness, contrast, saturation and hue by up to a tenth")
    affine: bool = setting(True, "augmentation: turn by up to 5 degrees, shift by up to a tenth")


@dataclass(frozen=True)
class LocalRecipe(OptimiserRecipe):
    """Stage 2: voxels learn the image features of their cells."""

    loss: str = setting("smooth_l1", "between voxel and image features", choices=KINDS)
    depth_weight: bool = setting(True, "near voxels count more, by 1 / depth")
    colours: bool = setting(True, "augmentation of the image, as in stage 1")
    flip: bool = setting(True, "augmentation: image and cloud mirrored, half of the time")


@dataclass(frozen=True)
class GlobalRecipe(OptimiserRecipe):
    """Stage 3: the scan's descriptor learns to equal the image's."""

    loss: str = setting("smooth_l1", "between the two descriptors", choices=KINDS)
    colours: bool = setting(True, "augmentation of the image, as in stage 1")
    affine: bool = setting(False, "augmentation of the image, as in stage 1")
    flip: bool = setting(True, "augmentation: image and cloud mirrored, half of the time")
    motion: bool = setting(True, "augmentation: cloud moved by up to 1.5 m per axis, 2 degrees of tilt, 10 of yaw")


@dataclass(frozen=True)
class ContrastRecipe(OptimiserRecipe):
    """AdamW. The learning rate rises over the first part of the steps and falls to min_lr on half a cosine; lr_step has
    no effect."""

    epochs: int = setting(8, "passes over the data", 1, 100_000)
    batch: int = setting(64, "frames per step, in pairs of one place", 4, 100_000)
    lr: float = setting(1e-3, "largest learning rate", 1e-9, 10.0)
    min_lr: float = setting(1e-6, "learning rate at the end", 0.0, 10.0)
    weight_decay: float = setting(1e-2, "of AdamW", 0.0, 10.0)
    temperature: float = setting(0.07, "of the contrastive loss", 1e-3, 10.0)


@dataclass(frozen=True)
class JointRecipe(ContrastRecipe):
    """The view model's first stage: both branches at once."""

    frozen_blocks: int = setting(5, "blocks of the camera's trunk that stay as they are; their maps are kept", 0, 11)
    within: float = setting(0.5, "weight of the loss inside each sensor", 0.0, 100.0)
    depth: float = setting(0.5, "weight of telling the LiDAR's depth from the picture", 0.0, 100.0)
    crop: float = setting(0.0, "augmentation: up to this part of width and height is cut off", 0.0, 0.9)
    dropout: float = setting(0.1, "part of the trunks' channels that is left out while training", 0.0, 0.9)


@dataclass(frozen=True)
class FusionRecipe(ContrastRecipe):
    """The view model's second stage: the fused descriptor, on trunks that stay as they are."""

    lr: float = setting(5e-4, "largest learning rate", 1e-9, 10.0)
    missing: float = setting(0.5, "part of the frames that lack a sensor, or some cameras, while training", 0.0, 1.0)


@dataclass(frozen=True)
class PlacesRecipe(ContrastRecipe):
    """LCPR and EINet by places."""

    lr: float = setting(5e-4, "largest learning rate", 1e-9, 10.0)
    depth: float = setting(0.1, "EINet with interaction: weight of the LiDAR's depth from the pictures", 0.0, 100.0)


@dataclass(frozen=True)
class StepRecipe(OptimiserRecipe):
    """Adam; the learning rate halves every lr_step epochs; min_lr has no effect."""

    min_lr: float = setting(0.0, "without effect", 0.0, 10.0)
    lr_step: int = setting(6, "epochs until the learning rate halves", 1, 100_000)
    weight_decay: float = setting(0.0, "of Adam", 0.0, 10.0)


@dataclass(frozen=True)
class TuplesRecipe(StepRecipe):
    """LCPR and EINet by the tuples of a NUSC-PR split."""

    epochs: int = setting(40, "passes over the tuples", 1, 100_000)
    batch: int = setting(4, "tuples per step, of 7 frames each", 1, 100_000)
    trunk: float = setting(0.1, "factor of the learning rate of the ResNet trunks, which start from ImageNet", 0.0, 1.0)
    depth: float = setting(0.1, "EINet with interaction: weight of the LiDAR's depth from the pictures", 0.0, 100.0)


@dataclass(frozen=True)
class MinedRecipe(StepRecipe):
    """LCPR and EINet by triplets that are mined every epoch, as LCPR was trained."""

    epochs: int = setting(120, "passes over the training queries", 1, 100_000)
    batch: int = setting(1, "queries per step, each with a positive and up to 6 negatives", 1, 100_000)
    lr: float = setting(1e-5, "learning rate at the start", 1e-9, 10.0)


@dataclass(frozen=True)
class DataRecipe:
    """Prepared folders (`vxp data prepare`). Those of the command line replace these."""

    train: list[str] = setting([], "folders to learn from")
    validate: list[str] = setting([], "folders that choose the weights; empty: a part of the training data")
    test: list[str] = setting([], "folders that only paper_compat.validate_on_test looks at")
    validation_part: float = setting(
        0.1, "part of the places that chooses the weights, if `validate` is empty", 0.0, 0.9
    )
    validation_square: float = setting(100.0, "such places come in squares of so many metres", 1.0, 1e6)
    split: str = setting("", "folder of vxp nuscpr, for the stages tuples and mined: says who trains and who validates")
    dataset: str = setting("", "whose calibration paper_compat replaces", choices=("", "kitti", "vivid"))


@dataclass(frozen=True)
class TrainingCompat:
    """Behaviour of the authors' training that we hold to be wrong. `all` switches all on; those of the networks are
    in the model's recipe."""

    all: bool = setting(False, "every switch below")
    nearest_cell: bool = setting(False, "stage 2 looks up the image feature of the cell, not between cells")
    flip_keeps_cx: bool = setting(False, "a mirrored sample keeps its principal point")
    validate_on_test: bool = setting(False, "the test data choose the weights")
    kitti_single_calibration: bool = setting(False, "the calibration of 2011-09-26 for every KITTI sequence")
    extrinsics_reversed_axes: bool = setting(False, "LiDAR to camera with axes reversed on the way (KITTI, ViViD++)")


@dataclass(frozen=True)
class TrainingRecipe:
    model: str = setting("vxp", "recipe of the networks: a name in config/models, or a YAML file")
    start: list[str] = setting([], "model folders whose networks to start from; empty: image trunk as the recipe says")
    stages: list[str] = setting(
        list(STAGES),
        "what to train, in this order: teacher, local, global; of a view model: joint, fusion; of LCPR and EINet: "
        "places, tuples, mined",
    )
    seed: int = setting(0, "of everything random", 0, 2**31 - 1)
    precision: str = setting("float32", "of the networks' sums", choices=("float32", "bfloat16"))
    workers: int = setting(0, "processes that load samples; 0: the training process itself", 0, 256)
    checkpoint_s: float = setting(120.0, "seconds between two checkpoints inside an epoch", 0.0, 1e6)
    data: DataRecipe = field(default_factory=DataRecipe)
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)
    local_alignment: LocalRecipe = field(default_factory=LocalRecipe)
    global_alignment: GlobalRecipe = field(default_factory=GlobalRecipe)
    joint: JointRecipe = field(default_factory=JointRecipe)
    fusion: FusionRecipe = field(default_factory=FusionRecipe)
    places: PlacesRecipe = field(default_factory=PlacesRecipe)
    tuples: TuplesRecipe = field(default_factory=TuplesRecipe)
    mined: MinedRecipe = field(default_factory=MinedRecipe)
    paper_compat: TrainingCompat = field(default_factory=TrainingCompat)


def find_training_recipe(name_or_path: str | Path) -> Path:
    """The YAML file: a path, or the name of one in config/training. Raises ModelError that lists them."""
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    known = {file.stem: file for file in sorted((share_folder() / "config" / "training").glob("*.yaml"))}
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    raise ModelError(f"there is no training recipe {name_or_path}: give a YAML file or one of {', '.join(known)}")


def read_training_recipe(path: Path) -> TrainingRecipe:
    """Raises ModelError that names every unknown key and every wrong value."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as problem:
        raise ModelError(f"cannot read {path}: {problem.strerror}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ModelError(f"{path} is not valid YAML: {' '.join(str(problem).split())}") from problem
    return parse_training_recipe(content, str(path))


def parse_training_recipe(content: object, origin: str) -> TrainingRecipe:
    """A recipe from nested mappings. origin: what to call them in an error. Raises ModelError."""
    if not isinstance(content, dict):
        raise ModelError(f"{origin} must hold keys and values, like `model: vxp`")
    recipe, problems = from_nested(TrainingRecipe, content)
    if recipe:
        problems += contradictions(recipe)
    if problems:
        raise ModelError(f"{origin}: {'; '.join(problems)}")
    if recipe.paper_compat.all:
        recipe = replace(recipe, paper_compat=TrainingCompat(**{item.name: True for item in fields(TrainingCompat)}))
    return recipe


def contradictions(recipe: TrainingRecipe) -> list[str]:
    problems = []
    stages = set(recipe.stages)
    if not stages or len(stages) < len(recipe.stages) or not any(stages <= set(known) for known in STAGES_OF.values()):
        families = " or of ".join(", ".join(known) for known in dict.fromkeys(STAGES_OF.values()))
        problems.append(f"stages must be some of {families}, each once, got {recipe.stages}")
    compat, data = recipe.paper_compat, recipe.data
    if compat.validate_on_test and not compat.all and data.validate:
        problems.append("paper_compat.validate_on_test leaves data.validate without use: give only one of them")
    needs_dataset = compat.extrinsics_reversed_axes and not compat.all
    if needs_dataset and not data.dataset:
        problems.append("paper_compat.extrinsics_reversed_axes needs data.dataset: kitti or vivid")
    return problems


def dump_training_recipe(recipe: TrainingRecipe) -> str:
    """The YAML text with every value, defaults too."""
    return yaml.safe_dump(asdict(recipe), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
