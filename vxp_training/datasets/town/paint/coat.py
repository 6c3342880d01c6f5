"""A coat: what painting a point yields, the slots of the small float64 array that the painters fill."""

from ..compiled import inner

# 0, 1, 2: red, green and blue, linear albedo
PANE = 3  # share of the point that is glass: it reflects the surroundings, and swallows the LiDAR's pulse
GLOSS = 4  # mirror-like share at a right angle, of car paint, metal, wet stone
RETRO = 5  # share that sends light back where it came from
GLOW = 6  # 6, 7, 8: red, green and blue of its own light
SLOTS = 9


@inner
def lay(coat, red, green, blue):
    """Start a coat: a dull surface of this colour."""
    coat[0], coat[1], coat[2] = red, green, blue
    for i in range(PANE, SLOTS):
        coat[i] = 0.0


@inner
def cover(coat, share, red, green, blue):
    """Put a dull colour over a share of the coat."""
    rest = 1.0 - share
    coat[0] = coat[0] * rest + red * share
    coat[1] = coat[1] * rest + green * share
    coat[2] = coat[2] * rest + blue * share
    for i in range(PANE, SLOTS):
        coat[i] *= rest


@inner
def dim(coat, factor):
    """Scale the colour."""
    coat[0] *= factor
    coat[1] *= factor
    coat[2] *= factor
