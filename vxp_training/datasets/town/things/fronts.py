"""What stands out from a house's front: cornices, awnings, balconies, bay windows, steps, porches, garages. Frame and
`House` as in buildings; the street is at y < 0."""

from ..scene import Material
from .house import House
from .shapes import FOUNDATION, MeshBuilder
from .walls import blind_surface, wall_surface


def add_front(b: MeshBuilder, house: House) -> None:
    """What projects from the front wall."""
    if house.has_cornice:
        _add_cornice(b, house, house.eaves)
    if house.is_shop and house.storeys > 1:
        _add_cornice(b, house, house.storey + 0.06, depth=0.12, height=0.2)
    if house.awning:
        _add_awning(b, house)
    if house.has_blade_sign:
        _add_blade_sign(b, house)
    if house.has_bay_window:
        _add_bay_window(b, house)
    for bay in house.balconies:
        _add_balconies(b, house, bay)
    if house.steps:
        _add_steps(b, house)
    if house.theme == "slabs":
        _add_porch(b, house)
    if house.garage:
        _add_garage(b, house)


def _add_cornice(b: MeshBuilder, house: House, top: float, depth: float = 0.22, height: float = 0.3) -> None:
    """A moulding along the front that ends at height `top`."""
    stone = b.surface(Material.CONCRETE, house.trim, seed=house.seed, width=house.front, height=height)
    b.box((0, -depth, top - height), (house.front, 0, top), stone, without="Y")


def _add_awning(b: MeshBuilder, house: House) -> None:
    """A striped awning with a valance over the shop front."""
    cloth = b.surface(Material.CLOTH, *house.awning, seed=house.seed)
    top = 0.79 * house.storey  # the shop's name stays visible above
    left, right, low, out = 0.3, house.front - 0.3, top - 0.4, -1.2
    b.polygon([(left, out, low), (right, out, low), (right, -0.02, top), (left, -0.02, top)], cloth)
    b.wall((left, out), (right, out), low - 0.2, low, cloth)
    b.polygon([(left, -0.02, low), (left, out, low), (left, -0.02, top)], cloth)
    b.polygon([(right, out, low), (right, -0.02, low), (right, -0.02, top)], cloth)


def _add_blade_sign(b: MeshBuilder, house: House) -> None:
    """A shop's sign at a right angle to the front, above people's heads."""
    colour = house.awning[0] if house.awning else (0.55, 0.10, 0.08)
    board = b.surface(Material.METAL, colour, seed=house.seed)
    x, z = house.front - 0.45, house.storey + 0.15
    b.box((x, -0.75, z), (x + 0.08, -0.15, z + 0.55), board, without="")


def _add_balconies(b: MeshBuilder, house: House, bay: int) -> None:
    """A balcony before this bay on every storey above the ground: slab, floor and three panels."""
    slab = b.surface(Material.CONCRETE, (0.50, 0.49, 0.47), seed=house.seed)
    panel = b.surface(Material.METAL, house.trim, seed=house.seed)
    left, right, out = bay * house.bay + 0.15, (bay + 1) * house.bay - 0.15, -1.25
    for level in range(1, house.storeys):
        z = level * house.storey
        b.polygon([(left, 0, z - 0.15), (right, 0, z - 0.15), (right, out, z - 0.15), (left, out, z - 0.15)], slab)
        b.polygon([(left, out, z), (right, out, z), (right, 0, z), (left, 0, z)], slab)
        b.wall((left, out), (right, out), z - 0.15, z + 1.0, panel)
        b.wall((right, out), (right, 0), z - 0.15, z + 1.0, panel)
        b.wall((left, 0), (left, out), z - 0.15, z + 1.0, panel)


def _add_bay_window(b: MeshBuilder, house: House) -> None:
    """A bay window from the first floor to the eaves, before the bay beside the door's."""
    bay = (house.door_bay + 1) % house.bays
    left, right, out = bay * house.bay + 0.12, (bay + 1) * house.bay - 0.12, -0.75
    bottom, top = house.storey - 0.1, house.eaves - 0.52  # just below the eaves' soffit
    wall = wall_surface(b, house, right - left, 1, is_shop=False)
    blind = blind_surface(b, house, -out, top)
    b.wall((left, out), (right, out), bottom, top, wall)
    b.wall((right, out), (right, 0), bottom, top, blind)
    b.wall((left, 0), (left, out), bottom, top, blind)
    lid = b.surface(Material.CONCRETE, house.trim, seed=house.seed)
    b.polygon([(left, out, top), (right, out, top), (right, 0, top), (left, 0, top)], lid)
    b.polygon([(left, 0, bottom), (right, 0, bottom), (right, out, bottom), (left, out, bottom)], blind)


def _add_steps(b: MeshBuilder, house: House) -> None:
    """Door steps before the door's bay, each 0.16 m high; they reach into the ground for hills."""
    stone = b.surface(Material.CONCRETE, (0.42, 0.41, 0.39), seed=house.seed)
    x = (house.door_bay + 0.5) * house.bay
    for i in range(house.steps):
        out = -0.32 * (house.steps - i) - 0.1
        b.box((x - 0.75, out, -0.3), (x + 0.75, 0, 0.05 + 0.16 * i), stone, without="zY")


def _add_porch(b: MeshBuilder, house: House) -> None:
    """A flat canopy on two posts before the door."""
    stone = b.surface(Material.CONCRETE, house.trim, seed=house.seed)
    steel = b.surface(Material.METAL, (0.30, 0.31, 0.33))
    x, z = (house.door_bay + 0.5) * house.bay, house.storey - 0.25
    b.box((x - 1.4, -1.8, z - 0.18), (x + 1.4, 0, z), stone, without="Y")
    for side in (x - 1.25, x + 1.25):
        b.tube((side, -1.65, -0.5), (side, -1.65, z - 0.18), 0.06, steel, 4)


def _add_garage(b: MeshBuilder, house: House) -> None:
    """A low garage at the right of the house, set back, with a flat roof."""
    left, right, y0, y1, top = house.front, house.width, 1.2, min(7.5, house.depth), 2.7
    wall = blind_surface(b, house, right - left, top)
    roof = b.surface(Material.CONCRETE, (0.25, 0.24, 0.23), seed=house.seed)
    door = b.surface(Material.METAL, house.trim, seed=house.seed, width=right - left - 0.7, height=2.2)
    b.box((left, y0, -FOUNDATION), (right, y1, top), wall, without="xzZ")
    b.polygon([(left, y0, top), (right, y0, top), (right, y1, top), (left, y1, top)], roof)
    b.wall((left + 0.35, y0 - 0.02), (right - 0.35, y0 - 0.02), 0.05, 2.2, door)
