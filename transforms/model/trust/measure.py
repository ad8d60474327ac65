"""Every method, layer and fusion of a model on some images, by all measures. Imports TensorFlow."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from transforms.model.errors import IncomparableMethods
from transforms.model.planned import PlannedModel
from transforms.model.trust.agreement import agreement, pointing
from transforms.model.trust.maps import EveryMap, places_of, sensible_layers
from transforms.model.trust.perturb import SHARES, blurred, highest, imputed, moved
from transforms.model.trust.rows import FEWEST, MethodTable, TrustRow
from transforms.records import Box
from transforms.statistics import upsample

_SEED = 0
_SHIFT = 32  # of the image's side: one of this many parts
_TIMED = 32  # images
Key = tuple[str, str, str]
"""Method, layer, fusion."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrustImages:
    """N images, as the model takes them."""

    pixels: np.ndarray  # [N, H, W, 3] of the model's pixel type
    boxes: Sequence[Sequence[Box] | None]  # ground truth in 0..1 of the model input; None: not known
    beside: Sequence[np.ndarray] = ()  # the model's other inputs, [N, ...] each


def measure_methods(
    model: PlannedModel, images: TrustImages, say: Callable[[str], None], seconds: float | None = None
) -> MethodTable:
    """Explain the predicted class of each image in every way, and hold each way to the model and to two baselines.

    Args:
        seconds: so long it may take, roughly: fewer images are looked at where all would take longer, but not fewer
            than can tell. None: as long as it takes.

    Raises:
        IncomparableMethods: the output is no class.
    """
    plan = model.plan
    if plan.scores.kind == "value":
        raise IncomparableMethods(
            "methods are compared by the probability of a class, and this model's output is a value"
        )
    clock = time.monotonic()
    layers = sensible_layers(plan)
    every = EveryMap(model, layers)
    if seconds is not None:
        images = _affordable(every, images, seconds, say)
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
            same = _faithfulness(every, images, maps, first, probabilities, plan.seen)
            known.append((maps, same))
        values = same | {"pointing": pointing(maps, images.boxes, plan.seen)}
        for name in ("flip", "shift", "classes", "scrambled"):
            values[name] = agreement(name, maps, found[name].get(key), shift, pixels.shape[1:3], plan.seen)
        rows.append(TrustRow(*key, values))
    boxed = sum(bool(boxes) for boxes in images.boxes)
    return MethodTable(
        rows=tuple(rows),
        images=len(pixels),
        with_boxes=boxed,
        seconds=round(time.monotonic() - clock, 1),
        layers=tuple(layer.name for layer in layers),
        places=places_of(plan, layers),
    )


def _affordable(every: EveryMap, images: TrustImages, seconds: float, say: Callable[[str], None]) -> TrustImages:
    """As many of the images, from the first on, as can be asked about within the time; at least :data:`FEWEST`."""
    some = slice(0, min(_TIMED, len(images.pixels)))
    for _ in range(2):  # the first traces
        clock = time.monotonic()
        every.probabilities(images.pixels[some], [rows[some] for rows in images.beside])
        of_one = (time.monotonic() - clock) / some.stop
    most = max(FEWEST, int(seconds / (of_one * (3 * len(SHARES) + 1) * every.ways)))
    if most >= len(images.pixels):
        return images
    say(f"{most} of {len(images.pixels)} images are asked about: a score takes {of_one * 1000:.0f} ms here")
    part = slice(0, most)
    return TrustImages(images.pixels[part], images.boxes[part], [rows[part] for rows in images.beside])


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
    every: EveryMap,
    images: TrustImages,
    maps: np.ndarray,
    classes: np.ndarray,
    probabilities: np.ndarray,
    seen: Box,
) -> dict[str, np.ndarray]:
    """Deletion, insertion and ROAD of one map of each image, float64 ``[N]`` each."""
    found: dict[str, list[float]] = {"deletion": [], "insertion": [], "road": []}
    for number, (image, cam, target) in enumerate(zip(images.pixels, maps, classes, strict=True)):
        height, width = image.shape[:2]
        top, soft = highest(cam, height, width, seen), blurred(image)
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
