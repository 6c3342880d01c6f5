"""Words on fascia boards and numbers on signs, in a face of 5 x 5 dots."""

from math import floor

import numpy as np

from ..compiled import inner
from .noise import clamp

_GLYPHS = {
    "A": ".###. #...# ##### #...# #...#", "B": "####. #...# ####. #...# ####.", "C": ".#### #.... #.... #.... .####",
    "D": "####. #...# #...# #...# ####.", "E": "##### #.... ####. #.... #####", "F": "##### #.... ####. #.... #....",
    "G": ".#### #.... #..## #...# .####", "H": "#...# #...# ##### #...# #...#", "I": ".###. ..#.. ..#.. ..#.. .###.",
    "J": "..### ...#. ...#. #..#. .##..", "K": "#..#. #.#.. ##... #.#.. #..#.", "L": "#.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #...# #...#", "N": "#...# ##..# #.#.# #..## #...#", "O": ".###. #...# #...# #...# .###.",
    "P": "####. #...# ####. #.... #....", "Q": ".###. #...# #.#.# #..#. .##.#", "R": "####. #...# ####. #..#. #...#",
    "S": ".#### #.... .###. ....# ####.", "T": "##### ..#.. ..#.. ..#.. ..#..", "U": "#...# #...# #...# #...# .###.",
    "V": "#...# #...# #...# .#.#. ..#..", "W": "#...# #...# #.#.# ##.## #...#", "X": "#...# .#.#. ..#.. .#.#. #...#",
    "Y": "#...# .#.#. ..#.. ..#.. ..#..", "Z": "##### ...#. ..#.. .#... #####", " ": "..... ..... ..... ..... .....",
    "0": ".###. #..## #.#.# ##..# .###.", "1": "..#.. .##.. ..#.. ..#.. .###.", "2": "####. ....# .###. #.... #####",
    "3": "####. ....# .###. ....# ####.", "4": "#..#. #..#. ##### ...#. ...#.", "5": "##### #.... ####. ....# ####.",
    "6": ".###. #.... ####. #...# .###.", "7": "##### ....# ...#. ..#.. ..#..", "8": ".###. #...# .###. #...# .###.",
    "9": ".###. #...# .#### ....# .###.",
}  # fmt: skip
_ORDER = "".join(_GLYPHS)
SHOPS = (
    "BAKERY", "CAFE", "BOOKS", "FLOWERS", "PIZZA", "HOTEL", "SHOES", "BANK", "OPTICS", "MARKET", "PHARMACY", "BIKES",
    "TOYS", "WINE", "TAILOR", "BARBER", "TEA ROOM", "CINEMA", "MUSIC", "COPYSHOP", "BISTRO", "FISH", "JEWELS", "KIOSK",
)  # fmt: skip
LETTERS = 9  # places of the longest word


def _bits(glyph: str) -> int:
    return sum(
        1 << (5 * (4 - row) + column)
        for row, line in enumerate(glyph.split())
        for column in range(5)
        if line[column] == "#"
    )


def _rows(words) -> np.ndarray:
    return np.array([[_ORDER.index(letter) for letter in word.ljust(LETTERS)] for word in words], np.int64)


FACE = np.array([_bits(_GLYPHS[letter]) for letter in _ORDER], np.int64)
WORDS = _rows(SHOPS)
LENGTHS = np.array([len(word) for word in SHOPS], np.int64)
SPACE, ZERO = _ORDER.index(" "), _ORDER.index("0")


@inner
def _dot(word, column, row):
    """Whether a dot of the text is set, 0 or 1."""
    if row < 0 or row > 4 or column < 0:
        return 0.0
    place, across = column // 6, column % 6
    if across > 4 or place >= LETTERS:
        return 0.0
    glyph = SPACE
    if word >= 0:
        glyph = WORDS[word, place]
    elif place == 0:
        glyph = ZERO - 1 - word
    return float((FACE[glyph] >> (5 * row + across)) & 1)


@inner
def ink(word, x, y, w):
    """Share of ink around a point of a text, from its lower left corner, where a dot is 1 wide; w: footprint. word: row
    of WORDS, or -1 - d for the digit d."""
    if y < -1.0 or y > 6.0 or x < -1.0:
        return 0.0
    if w > 2.5:
        return 0.45
    x, y = x - 0.5, y - 0.5
    column, row = floor(x), floor(y)
    sharp = 1.0 / clamp(w, 0.35, 1.0)
    fx = clamp((x - column - 0.5) * sharp + 0.5, 0.0, 1.0)
    fy = clamp((y - row - 0.5) * sharp + 0.5, 0.0, 1.0)
    below = _dot(word, column, row) * (1.0 - fx) + _dot(word, column + 1, row) * fx
    above = _dot(word, column, row + 1) * (1.0 - fx) + _dot(word, column + 1, row + 1) * fx
    return below * (1.0 - fy) + above * fy
