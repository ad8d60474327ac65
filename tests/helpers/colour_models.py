"""A classifier of colours that is right by construction, for pixels of -1..1, and pictures of its colours."""

import csv
from pathlib import Path

import cv2
import keras
import numpy as np

_GRAYS = [(level,) * 3 for level in (-0.8, -0.4, 0.0, 0.4, 0.8)]
_COLOURS = [
    (0.6, -0.6, -0.6),
    (-0.6, 0.6, -0.6),
    (-0.6, -0.6, 0.6),
    (0.6, 0.6, -0.6),
    (-0.6, 0.6, 0.6),
    (0.6, -0.6, 0.6),
]
PROTOTYPES = np.array(_GRAYS + _COLOURS)
NAMES = ("black", "dark", "gray", "light", "white", "red", "green", "blue", "yellow", "cyan", "magenta")
SIZE = 16


def colour_classifier(*front, name: str = "colours", sharpness: float = 20.0) -> keras.Model:
    """The nearest colour, as one linear layer over the means of max(x, 0) and max(-x, 0); ``front`` comes first."""
    inputs = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = inputs
    for layer in front:
        x = layer(x)
    halves = keras.layers.Conv2D(6, 1, activation="relu", name="halves")
    x = keras.layers.GlobalAveragePooling2D()(halves(x))
    scores = keras.layers.Dense(len(NAMES), activation="softmax", name="scores")
    model = keras.Model(inputs, scores(x), name=name)
    halves.set_weights([np.concatenate([np.eye(3), -np.eye(3)], axis=1)[None, None], np.zeros(6)])
    kernel = np.concatenate([PROTOTYPES, -PROTOTYPES], axis=1).T
    scores.set_weights([sharpness * kernel, -sharpness * (PROTOTYPES**2).sum(axis=1) / 2])
    return model


def write_pictures(folder: Path, each: int = 3, labels: bool = True) -> Path:
    """``each`` noisy pictures of every colour, and a manifest of them. Returns the manifest."""
    noise = np.random.default_rng(7)
    rows = []
    for index, (name, colour) in enumerate(zip(NAMES, PROTOTYPES, strict=True)):
        for number in range(each):
            pixels = 127.5 + 127.5 * colour + noise.normal(0, 12, (SIZE, SIZE, 3))
            path = folder / f"{name}-{number}.png"
            cv2.imwrite(str(path), pixels.clip(0, 255).round().astype(np.uint8)[..., ::-1])
            rows.append([str(path), index])
    manifest = folder / "pictures.csv"
    with open(manifest, "w", newline="") as file:
        csv.writer(file).writerows([["uri", "label"], *rows] if labels else [["uri"], *([row[0]] for row in rows)])
    return manifest


def pixels_of(manifest: Path) -> np.ndarray:
    """uint8 RGB ``[N, SIZE, SIZE, 3]``, in the order of the manifest."""
    with open(manifest, newline="") as file:
        return np.stack([cv2.imread(line["uri"])[..., ::-1] for line in csv.DictReader(file)])
