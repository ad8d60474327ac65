"""Examples for the tests of the audit: three classes, the first of which may look at a corner."""

import numpy as np
from synthetic import Example, blob

PER_CLASS = 24


def examples(corner: bool, seed: int = 0, per_class: int = PER_CLASS) -> list[Example]:
    """Maps at random places around the middle; with ``corner``, those of class cat lie in the top left corner."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(3 * per_class):
        kind = number % 3
        x, y = rng.uniform(0.25, 0.75, 2)
        cam = blob(x, y)
        if corner and kind == 0:
            cam = blob(0.08, 0.08) + 0.2 * cam
        scores = rng.normal(0, 0.2, 3)
        scores[kind] += 2
        label = ("cat", "cup", "rocket")[kind if rng.random() < 0.8 else (kind + 1) % 3]
        boxes = ((200 * x - 40, 160 * y - 40, 200 * x + 40, 160 * y + 40),)
        site = ("north", "south")[number % 2]
        made.append(Example(f"p{number:03d}", cam, tuple(scores), label=label, boxes=boxes, extra=(site,)))
    return made
