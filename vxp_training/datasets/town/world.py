"""A town: built once from its seed, dressed anew for every day."""

import hashlib
from dataclasses import replace

import numpy as np

from .draws import Purpose, draw
from .motion.traffic import Traffic
from .scene import Day, Mesh, Scene, merge, move, with_object
from .streets.backdrop import make_backdrop
from .streets.changes import Change, draw_change
from .streets.furnishing import furnish
from .streets.ground import KERB_HEIGHT, Hills, make_ground_mesh
from .streets.ground_picture import paint_ground
from .streets.kerbside import make_crossings, make_slots
from .streets.library import Library, pose_on
from .streets.lots import Lot, make_lots
from .streets.parking import park_cars
from .streets.planner import make_plan
from .style import STYLES, Style
from .things.buildings import house_mesh, scaffold_mesh, site_fence_mesh
from .things.house import House, draw_house
from .things.plants import drop_leaves

FIRST_HOUSE, FIRST_THING, FIRST_PARKED, FIRST_MOVING = 100, 10_000, 100_000, 1_000_000  # object numbers


class World:
    """A pure function of its arguments: the same seed gives the same town, on every day, in every process.

    size: blocks (columns, rows). is_hardened: False builds the easy town (no cloned blocks, no one-way streets in which
    the car changes lanes). Raises ValueError for an unknown style or fewer than 2 x 2 blocks.
    """

    def __init__(self, seed: int, style: Style | str, size: tuple[int, int] = (6, 5), is_hardened: bool = True) -> None:
        if isinstance(style, str) and style not in STYLES:
            raise ValueError(f"no style set named {style!r}, expected one of {', '.join(STYLES)}")
        self.seed, self.size, self.is_hardened = int(seed), tuple(size), is_hardened
        self.style = STYLES[style] if isinstance(style, str) else style
        self.plan = make_plan(self.seed, self.style, self.size, is_hardened)
        self.hills = Hills(self.seed, self.plan)
        self.slots = make_slots(self.plan, self.seed)
        self.crossings = make_crossings(self.plan, self.seed)
        self.lots = make_lots(self.plan.blocks, self.seed, self.style)
        self.things = furnish(self.plan, self.lots, self.seed, self.style)
        self.library = Library(self.seed, self.style)
        self.ground = paint_ground(self.plan, self.seed, self.slots, self.crossings)
        self._traffic: Traffic | None = None
        self._houses = [self._draw_house(lot) for lot in self.lots]
        self._house_meshes: dict[House, Mesh] = {}
        self._static, self.lamps = self._build_static()

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Metres [N] of the road's level at points [N, 2]; pavements, gardens and houses stand KERB_HEIGHT above."""
        return self.hills.height(xy)

    def scene(self, day: Day) -> Scene:
        """Everything that stands still on this day."""
        parts = [drop_leaves(self._static, day.leaves)]
        parts += [self._build_lot(lot, house, day) for lot, house in zip(self.lots, self._houses, strict=True)]
        for slot, car, pose in park_cars(self, day):
            parts.append(with_object(move(self.library.car(car, False), pose), FIRST_PARKED + slot.number))
        return Scene(merge(parts), self.ground, day, self.lamps)

    def moving(self, day: Day, stamp_ns: int, near: np.ndarray) -> Mesh:
        """Cars and people within about 80 m of the pose `near` (T_world_base) at that moment, out of its way."""
        if self._traffic is None or self._traffic.day != day:
            self._traffic = Traffic(self, day)
        return self._traffic.mesh(stamp_ns, near, FIRST_MOVING)

    def geometry_hash(self, day: Day) -> str:
        """sha256 of the day's triangles (to the millimetre), surfaces and ground picture."""
        scene = self.scene(day)
        digest = hashlib.sha256()
        for array in (scene.mesh.vertices, scene.mesh.uv, scene.lamps):
            digest.update(np.round(array.astype(np.float64) * 1000).astype(np.int32).tobytes())
        surfaces = scene.mesh.surfaces
        for name in surfaces.dtype.names:
            scale = 1000 if surfaces[name].dtype.kind == "f" else 1
            digest.update(np.round(surfaces[name].astype(np.float64) * scale).astype(np.int64).tobytes())
        for array in (scene.mesh.faces, scene.mesh.surface, self.ground.classes):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _draw_house(self, lot: Lot) -> House:
        return draw_house(self.style, draw(self.seed, Purpose.HOUSE, *lot.key), lot.theme, lot.width, lot.depth)

    def _build_lot(self, lot: Lot, house: House, day: Day) -> Mesh:
        """The house as it looks on this day: perhaps changed, behind a scaffold, or gone."""
        change = draw_change(self.seed, lot, day)
        if change is Change.REBUILT:
            house = draw_house(
                self.style, draw(self.seed, Purpose.CHANGES, 7, day.number, lot.number), lot.theme, lot.width, lot.depth
            )
        if change is Change.REPAINTED:
            palette = self.style.wall_colours
            rng = draw(self.seed, Purpose.CHANGES, 8, day.number, lot.number)
            house = replace(house, wall=palette[int(rng.integers(len(palette)))], lit=0.3)
        mesh = site_fence_mesh(lot.width, lot.depth) if change is Change.MISSING else self._house_mesh(house)
        if change is Change.SCAFFOLDED:
            mesh = merge([mesh, scaffold_mesh(house)])
        return with_object(move(mesh, self._lot_pose(lot)), FIRST_HOUSE + lot.number)

    def _house_mesh(self, house: House) -> Mesh:
        if house not in self._house_meshes:
            self._house_meshes[house] = house_mesh(house)
        return self._house_meshes[house]

    def _lot_pose(self, lot: Lot) -> np.ndarray:
        """[4, 4] T_world_house: as high as the highest ground along the front, so that no door sinks in."""
        front = lot.corners()[:2]
        ground = float(self.height(np.vstack([front, front.mean(0)])).max()) + KERB_HEIGHT
        return pose_on(ground, lot.origin, lot.yaw)

    def _build_static(self) -> tuple[Mesh, np.ndarray]:
        """Ground, backdrop and furniture; positions [L, 3] of the lamps' heads."""
        parts = [make_ground_mesh(self.hills, self.plan), make_backdrop(self.plan, self.hills, self.seed, self.style)]
        heads = []
        feet = np.array([thing.foot for thing in self.things]).reshape(-1, 2)
        for number, (thing, ground) in enumerate(zip(self.things, self.height(feet) + KERB_HEIGHT, strict=True)):
            pose = pose_on(float(ground), thing.foot, thing.yaw)
            parts.append(with_object(move(self.library.thing(thing.kind, thing.arguments), pose), FIRST_THING + number))
            if thing.kind == "lamp":
                heads.append(pose[:3, :3] @ self.library.lamp_head + pose[:3, 3])
        return merge(parts), np.array(heads, np.float32).reshape(-1, 3)
