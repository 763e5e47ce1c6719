"""Ballet once more, slowly: one world, event by event, every cell and pixel by hand. It shares no code with the task.

Source: Lampinen et al. 2021, arXiv:2105.14039, and the authors' public environment.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.ballet.constants import DANCES
from haltere.sims.ballet.draws import Layout
from haltere.sims.things import COLOURS, SHAPES

KEYPAD = {7: (-1, -1), 8: (-1, 0), 9: (-1, 1), 4: (0, -1), 6: (0, 1), 1: (1, -1), 2: (1, 0), 3: (1, 1)}
"""A digit's place on a keypad is its direction."""
MOVES = {
    "circle_cw": "8622448866224486",
    "circle_ccw": "8422668844226684",
    "up_and_down": "8228822882288228",
    "left_and_right": "6446644664466446",
    "diagonal_uldr": "7337733773377337",
    "diagonal_urdl": "9119911991199119",
    "plus_cw": "8264284682642846",
    "plus_ccw": "8246286482462864",
    "times_cw": "9137197391371973",
    "times_ccw": "7319379173193791",
    "zee": "9446619116644919",
    "chevron_down": "7239819192178373",
    "chevron_up": "3871291918932737",
}
COMPASS = "89632147"
"""The agent's choices, as digits."""
SLOTS = ((2, 5), (2, 8), (5, 8), (8, 8), (8, 5), (8, 2), (5, 2), (2, 2))
BITMAPS = {
    "triangle": "....#.... ....#.... ...###... ...###... ..#####.. ..#####.. .#######. .#######. #########",
    "empty_square": "######### ######### ##.....## ##.....## ##.....## ##.....## ##.....## ######### #########",
    "plus": "...###... ...###... ...###... ######### ######### ######### ...###... ...###... ...###...",
    "inverse_plus": "###...### ###...### ###...### ......... ......... ......... ###...### ###...### ###...###",
    "ex": "##.....## ###...### .###.###. ..#####.. ...###... ..#####.. .###.###. ###...### ##.....##",
    "inverse_ex": "..#####.. ...###... #...#...# ##.....## ###...### ##.....## #...#...# ...###... ..#####..",
    "circle": "....#.... ..#####.. .#######. .#######. ######### .#######. .#######. ..#####.. ....#....",
    "empty_circle": "..#####.. .##...##. ##.....## #.......# #.......# #.......# ##.....## .##...##. ..#####..",
    "tee": "######### ######### ######### ...###... ...###... ...###... ...###... ...###... ...###...",
    "upside_down_tee": "...###... ...###... ...###... ...###... ...###... ...###... ######### ######### #########",
    "h": "###...### ###...### ###...### ######### ######### ######### ###...### ###...### ###...###",
    "u": "###...### ###...### ###...### ###...### ###...### ###...### ######### ######### #########",
    "upside_down_u": "######### ######### ######### ###...### ###...### ###...### ###...### ###...### ###...###",
    "vertical_stripes": "#.#.#.#.# #.#.#.#.# #.#.#.#.# #.#.#.#.# #.#.#.#.# #.#.#.#.# #.#.#.#.# #.#.#.#.# #.#.#.#.#",
    "horizontal_stripes": "######### ......... ######### ......... ######### ......... ######### ......... #########",
}


@dataclass
class Dancer:
    """Where it is, what it dances, and the (9, 9, 3) picture of it, 8 bits a channel."""

    row: int
    column: int
    dance: str
    picture: NDArray[np.int64]


class Show:
    """One episode."""

    def __init__(self, dancers: list[Dancer], target: int, delay: int) -> None:
        """The first tick belongs to the reset."""
        self.dancers, self.target, self.delay = dancers, target, delay
        self.queue = list(dancers)
        self.soloist: Dancer | None = None
        self.moves: list[int] = []
        self.wait = 1
        self.choosing = False
        self.row = self.column = 5
        self.word = "watch"
        self.reward: float | None = None
        self.tick(0)

    def tick(self, choice: int) -> None:
        """Advance by one step; ``reward`` is set once a dancer is touched."""
        if self.choosing:
            down, right = KEYPAD[int(COMPASS[choice])]
            if 1 <= self.row + down <= 9 and 1 <= self.column + right <= 9:
                self.row, self.column = self.row + down, self.column + right
            for index, dancer in enumerate(self.dancers):
                if (dancer.row, dancer.column) == (self.row, self.column):
                    self.reward = float(index == self.target)
            return
        if self.soloist is None:
            self.wait -= 1
            if self.wait == 0 and self.queue:
                self.soloist = self.queue.pop(0)
                self.moves = [int(digit) for digit in MOVES[self.soloist.dance]]
            elif self.wait == 0:
                self.choosing, self.word = True, self.dancers[self.target].dance
        if self.soloist is not None:
            down, right = KEYPAD[self.moves.pop(0)]
            self.soloist.row, self.soloist.column = self.soloist.row + down, self.soloist.column + right
            if not self.moves:
                self.soloist, self.wait = None, self.delay

    def picture(self) -> NDArray[np.float64]:
        """What the agent sees, (3, 99, 99)."""
        image = np.zeros((99, 99, 3), np.int64)
        for y in range(11):
            for x in range(11):
                row, column = self.row + y - 5, self.column + x - 5
                if not (0 <= row <= 10 and 0 <= column <= 10):
                    continue
                cell = image[9 * y : 9 * y + 9, 9 * x : 9 * x + 9]
                if row in (0, 10) or column in (0, 10):
                    cell[:] = 40
                if (row, column) == (self.row, self.column):
                    cell[:] = 255
                for dancer in self.dancers:
                    if (dancer.row, dancer.column) == (row, column):
                        cell[:] = dancer.picture
        return image.transpose(2, 0, 1) / 255.0

    def small_picture(self) -> NDArray[np.float64]:
        """The mean of every 3 x 3 pixels, (3, 33, 33)."""
        return self.picture().reshape(3, 33, 3, 33, 3).mean(axis=(2, 4))


def bitmap(shape: str) -> NDArray[np.int64]:
    """A shape, (9, 9) of 0 and 1."""
    return np.array([[int(pixel == "#") for pixel in row] for row in BITMAPS[shape].split()])


def show_of(layout: Layout, world: int) -> Show:
    """The episode that a task says it plays in one of its worlds."""
    names, shapes, colours = list(DANCES), SHAPES, list(COLOURS.values())
    dancers = []
    for index in range(int(layout.dancers[world])):
        slot, dance, shape, colour = (
            int(array[world, index]) for array in (layout.slot, layout.dance, layout.shape, layout.colour)
        )
        picture = bitmap(shapes[shape])[..., None] * np.array(colours[colour])
        dancers.append(Dancer(*SLOTS[slot], names[dance], picture))
    return Show(dancers, int(layout.target[world]), int(layout.delay[world]))
