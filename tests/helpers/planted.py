"""A run with planted copies across splits, wrong labels and an image unlike all others, in its embeddings."""

from pathlib import Path

import numpy as np
from synthetic import NAMES, Example, blob, write_run

PER_CLASS = 24
COPIED = {"cat-00": "cat-00-copy", "cup-03": "cup-03-copy", "rocket-05": "rocket-05-copy"}
WRONG = {"cat-10": "cup", "rocket-11": "cat"}
LONELY = "cup-20"
SIZE = 40


def planted_run(folder: Path, run_id: str = "r1") -> Path:
    """Classes lie apart; a copy lies beside its original, in the other split; the model is right about all."""
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(3, SIZE))
    examples, embeddings = [], {}

    def add(name: str, number: int, features: np.ndarray, split: str) -> None:
        scores = [0.0, 0.0, 0.0]
        scores[number] = 3.0
        label = WRONG.get(name, NAMES[number])
        cam = blob(*rng.uniform(0.3, 0.7, 2))
        examples.append(Example(name, cam, tuple(scores), label=label, extra=(split,)))
        embeddings[name] = features

    for number, kind in enumerate(NAMES):
        for place in range(PER_CLASS):
            name, split = f"{kind}-{place:02d}", "train" if place % 3 else "test"
            features = centres[number] + rng.normal(size=SIZE) * 0.9
            if name == LONELY:
                features = -2 * centres.sum(axis=0) + rng.normal(size=SIZE) * 2
            add(name, number, features, split)
            if name in COPIED:
                other = "test" if split == "train" else "train"
                add(COPIED[name], number, features + rng.normal(size=SIZE) * 0.05, other)
    return write_run(folder / "out", run_id, examples, extra_columns=("split",), embeddings=embeddings)
