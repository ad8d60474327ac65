"""Every method, layer and fusion of a model on some images, by all measures. Imports TensorFlow."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.planned import PlannedModel
from transforms.model.trust.maps import EveryMap, sensible_layers
from transforms.model.trust.perturb import SHARES, blurred, highest, imputed, moved
from transforms.model.trust.rows import MethodTable, TrustRow
from transforms.placement import WHOLE
from transforms.records import Box
from transforms.statistics import upsample

_SEED = 0
_SHIFT = 32  # of the image's side: one of this many parts
Key = tuple[str, str, str]
"""Method, layer, fusion."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrustImages:
    """N images, as the model takes them."""

    pixels: np.ndarray  # [N, H, W, 3] of the model's pixel type
    boxes: Sequence[Sequence[Box] | None]  # ground truth in 0..1 of the model input; None: not known
    beside: Sequence[np.ndarray] = ()  # the model's other inputs, [N, ...] each


def measure_methods(model: PlannedModel, images: TrustImages, say: Callable[[str], None]) -> MethodTable:
    """Explain the predicted class of each image in every way, and hold each way to the model and to two baselines.

    Raises:
        ModelRefused: the output is no class, or the maps do not lie over the whole input.
    """
    plan = model.plan
    if plan.scores.kind == "value":
        raise ModelRefused("methods are compared by the probability of a class, and this model's output is a value")
    if plan.seen != WHOLE:
        raise ModelRefused(
            f"methods are compared on models that see their whole input, and this one sees {list(plan.seen)} of it"
        )
    clock = time.monotonic()
    layers = sensible_layers(plan)
    every = EveryMap(model, layers)
    pixels, beside = images.pixels, images.beside
    probabilities = every.probabilities(pixels, beside)
    ranked = np.argsort(-probabilities, axis=1)
    # Not the runner-up: what is said for one cat is said for the other.
    first, another = ranked[:, 0], ranked[:, ranked.shape[1] // 2]
    say(f"{len(pixels)} images, layers {', '.join(layer.name for layer in layers)}")
    shift = max(1, max(pixels.shape[1:3]) // _SHIFT)
    asked = {
        "own": (pixels, first, None),
        "flip": (pixels[:, :, ::-1], first, None),
        "shift": (moved(pixels, shift), first, None),
        "classes": (pixels, another, None),
        "scrambled": (pixels, first, scrambled(plan.flat.weights)),
    }
    found = {
        name: _with_fusions(every.answers(given, beside, classes, weights).maps, [layer.name for layer in layers])
        for name, (given, classes, weights) in asked.items()
    }
    found["own"] |= baselines(next(iter(found["own"].values())), _SEED)
    rows: list[TrustRow] = []
    known: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for key, maps in found["own"].items():
        same = next((values for other, values in known if other.shape == maps.shape and _equal(other, maps)), None)
        if same is None:
            say(f"asking the model about {key[0]}{f' at {key[1]}' if key[1] else ''} {key[2]}".rstrip())
            same = _faithfulness(every, images, maps, first, probabilities)
            known.append((maps, same))
        values = same | {"pointing": pointing(maps, images.boxes)}
        for name in ("flip", "shift", "classes", "scrambled"):
            values[name] = _agreement(name, maps, found[name].get(key), shift, pixels.shape[1:3])
        rows.append(TrustRow(*key, values))
    boxed = sum(bool(boxes) for boxes in images.boxes)
    return MethodTable(tuple(rows), len(pixels), boxed, round(time.monotonic() - clock, 1))


def scrambled(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each kernel's numbers in another order: sizes and spreads stay, what was learned is gone."""
    noise = np.random.default_rng(_SEED)
    return {
        name: noise.permutation(array.ravel()).reshape(array.shape)
        if array.ndim > 1 and np.issubdtype(array.dtype, np.floating)
        else array
        for name, array in weights.items()
    }


def baselines(maps: np.ndarray, seed: int) -> dict[Key, np.ndarray]:
    """The same cells in another order, and a bell at the centre: what a map must be better than."""
    noise = np.random.default_rng(seed)
    count, height, width = maps.shape
    shuffled = np.stack([noise.permutation(each.ravel()).reshape(each.shape) for each in maps])
    y, x = ((np.arange(size) + 0.5) / size - 0.5 for size in (height, width))
    bell = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * 0.2**2)).astype(np.float32)
    return {
        ("shuffled", "", ""): shuffled,
        ("centre", "", ""): np.broadcast_to(bell, (count, height, width)).copy(),
    }


def _with_fusions(maps: Mapping[tuple[str, str], np.ndarray], layers: Sequence[str]) -> dict[Key, np.ndarray]:
    """Each map, and for each method that all layers have their product and maximum, on the finest grid."""
    found: dict[Key, np.ndarray] = {(method, layer, ""): each for (method, layer), each in maps.items()}
    for method in dict.fromkeys(method for method, _ in maps):
        own = [maps[method, layer] for layer in layers if (method, layer) in maps]
        if len(own) == len(layers) > 1:
            for fusion, join in (("product", np.prod), ("maximum", np.max)):
                found[method, f"{len(layers)} layers", fusion] = fused(own, join)
    return found


def fused(maps: Sequence[np.ndarray], join: Callable[..., np.ndarray]) -> np.ndarray:
    """Heatmaps of 0..1 joined on the finest of their grids."""
    height, width = max(each.shape[1:] for each in maps)
    heats = [np.maximum(each, 0) for each in maps]
    heats = [each / np.maximum(each.max(axis=(1, 2), keepdims=True), 1e-12) for each in heats]
    wide = [np.stack([upsample(one, height, width) for one in each]) for each in heats]
    return join(np.stack(wide), axis=0).astype(np.float32)


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Up to rounding and a positive factor, which ranks nothing anew."""
    a, b = (np.maximum(each, 0) / np.maximum(each.max(axis=(1, 2), keepdims=True), 1e-12) for each in (first, second))
    return bool(np.abs(a - b).max() < 1e-4)


def _faithfulness(
    every: EveryMap, images: TrustImages, maps: np.ndarray, classes: np.ndarray, probabilities: np.ndarray
) -> dict[str, np.ndarray]:
    """Deletion, insertion and ROAD of one map of each image, float64 ``[N]`` each."""
    found: dict[str, list[float]] = {"deletion": [], "insertion": [], "road": []}
    for number, (image, cam, target) in enumerate(zip(images.pixels, maps, classes, strict=True)):
        top, soft = highest(cam, *image.shape[:2]), blurred(image)
        filled = [imputed(image, mask[..., 0], seed=number) for mask in top]
        changed = np.concatenate([np.where(top, soft, image), np.where(top, image, soft), filled, soft[None]])
        rows = [np.repeat(each[number][None], len(changed), axis=0) for each in images.beside]
        answers = every.probabilities(changed.astype(image.dtype), rows)[:, target]
        whole, nothing, steps = probabilities[number, target], answers[-1], len(SHARES)
        found["deletion"].append(_area([whole, *answers[:steps], nothing]))
        found["insertion"].append(_area([nothing, *answers[steps : 2 * steps], whole]))
        found["road"].append(float(answers[2 * steps : 3 * steps].mean()))
    return {name: np.array(values, np.float64) for name, values in found.items()}


def _area(curve: Sequence[float]) -> float:
    """By trapezes over 0..1 of the pixels."""
    values = np.array(curve, np.float64)
    return float((values[1:] + values[:-1]).mean() / 2)


def pointing(maps: np.ndarray, boxes: Sequence[Sequence[Box] | None]) -> np.ndarray:
    """1 where the largest cell's centre lies in a box, less 1 where the image's centre does; NaN without boxes.

    A map without a positive cell points nowhere: a miss.
    """
    values = np.full(len(maps), np.nan)
    for i, (cam, own) in enumerate(zip(maps, boxes, strict=True)):
        if own:
            row, column = divmod(int(cam.argmax()), cam.shape[1])
            peak = (column + 0.5) / cam.shape[1], (row + 0.5) / cam.shape[0]
            values[i] = float(cam.max() > 0 and _within(peak, own)) - float(_within((0.5, 0.5), own))
    return values


def _within(point: tuple[float, float], boxes: Sequence[Box]) -> bool:
    return any(x0 <= point[0] <= x1 and y0 <= point[1] <= y1 for x0, y0, x1, y1 in boxes)


def _agreement(name: str, maps: np.ndarray, others: np.ndarray | None, shift: int, size: tuple[int, int]) -> np.ndarray:
    """Pearson correlation of heatmaps, ``[N]``; NaN where one is constant or there is none, as of a baseline."""
    if others is None:
        return np.full(len(maps), np.nan)
    own, other = np.maximum(maps, 0), np.maximum(others, 0)
    if name == "flip":
        other = other[:, :, ::-1]
    if name == "shift":
        own, other = (np.stack([upsample(each, *size) for each in both]) for both in (own, other))
        own, other = own[:, : size[0] - shift, : size[1] - shift], other[:, shift:, shift:]
    return np.array([_correlation(a.ravel(), b.ravel()) for a, b in zip(own, other, strict=True)])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64) - a.mean(), b.astype(np.float64) - b.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / length) if length > 1e-12 * a.size else float("nan")
