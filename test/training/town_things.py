"""One or more of everything that stands in a town, and what the tests measure on meshes."""

from dataclasses import replace

import numpy as np

from vxp_training.datasets.town.scene import Material, Mesh
from vxp_training.datasets.town.style import STYLES
from vxp_training.datasets.town.things import furniture
from vxp_training.datasets.town.things.buildings import (
    House,
    draw_house,
    house_mesh,
    scaffold_mesh,
    site_fence_mesh,
)
from vxp_training.datasets.town.things.plants import TREE_KINDS, bush_mesh, hedge_mesh, tree_mesh
from vxp_training.datasets.town.things.vehicles import (
    CAR_KINDS,
    Car,
    bicycle_mesh,
    car_mesh,
    cyclist_mesh,
    person_mesh,
)

PLOTS = {
    "terraces": (6.5, 10.0), "mixed": (11.0, 12.0), "slabs": (34.0, 12.0), "villas": (13.0, 10.0),
    "church": (15.0, 26.0), "school": (34.0, 14.0), "supermarket": (30.0, 22.0),
}  # fmt: skip
# Thin sheets, seen from both sides by design; leaves and bark are loose triangles.
SHEETS = {Material.LEAF, Material.BARK, Material.CLOTH, Material.GLASS, Material.CAR_GLASS, Material.SIGN}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def houses(theme: str, count: int = 12) -> list[House]:
    """Houses of all style sets."""
    styles = list(STYLES.values())
    return [draw_house(styles[i % len(styles)], rng(i), theme, *PLOTS[theme]) for i in range(count)]


def things() -> dict[str, Mesh]:
    """One or more of everything."""
    found = {f"{theme} {i}": house_mesh(h) for theme in PLOTS for i, h in enumerate(houses(theme))}
    base = houses("terraces")[0]
    for roof in ("gable", "hip", "mansard", "flat"):
        for is_row in (True, False):
            shape = replace(base, roof=roof, is_row=is_row, dormers=2, has_gable_front=False, has_bay_window=True)
            found[f"{roof} {is_row}"] = house_mesh(shape)
            found[f"{roof} {is_row} turned"] = house_mesh(replace(shape, has_gable_front=True))
    found |= {"scaffold": scaffold_mesh(base), "site": site_fence_mesh(9.0, 10.0)}
    found |= {kind: tree_mesh(kind, rng(3), 8.0) for kind in TREE_KINDS}
    found |= {"young": tree_mesh("maple", rng(3), 3.8), "hedge": hedge_mesh(5.3), "bush": bush_mesh(rng(1))}
    found |= {f"lamp {i}": furniture.lamp_mesh(i)[0] for i in range(3)}
    found |= {f"sign {i}": furniture.sign_mesh(i % 8, 5 * i) for i in range(24)}
    found |= {f"fence {i}": furniture.fence_mesh(4.2, i, seed=i) for i in range(furniture.FENCE_STYLES)}
    found |= {"wall": furniture.wall_mesh(3.0), "rail": furniture.rail_mesh(3.0)}
    for name in ("bench", "bin", "bollard", "bike_rack", "traffic_light"):
        found[name] = getattr(furniture, f"{name}_mesh")()
    for name in ("shelter", "wheelie_bins", "cabinet", "kiosk", "advertising_column", "street_name"):
        found |= {f"{name} {seed}": getattr(furniture, f"{name}_mesh")(seed) for seed in range(3)}
    found |= {
        f"{kind} {lit}": car_mesh(Car(kind, (0.3, 0.0, 0.0), (0.7, 0.7, 0.7)), lit)
        for kind in CAR_KINDS
        for lit in (0, 1)
    }
    found |= {f"person {p}": person_mesh(rng(2), p / 8) for p in range(8)}
    found |= {f"cyclist {p}": cyclist_mesh(rng(2), p / 8) for p in range(8)}
    return found | {"bicycle": bicycle_mesh()}


def same(a: Mesh, b: Mesh) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("vertices", "faces", "uv", "surface", "surfaces")
    )


def corners_and_normals(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """[F, 3, 3] corners and [F, 3] normals, as long as twice the area."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    return corners, np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def materials(mesh: Mesh) -> np.ndarray:
    return mesh.surfaces["material"][mesh.surface]


def caster(mesh: Mesh):
    """Closest hits: (origins [N, 3], directions [N, 3]) -> face [N] (-1: none), distance [N]."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    scene = rtcore_scene.EmbreeScene()
    triangles = mesh.vertices[mesh.faces].astype(np.float32)
    kept = TriangleMesh(scene, triangles)

    def cast(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert kept is not None and len(triangles)  # embree reads these arrays as long as it lives
        hits = scene.run(origins.astype(np.float32), directions.astype(np.float32), output=1)
        return hits["primID"], hits["tfar"]

    return cast
