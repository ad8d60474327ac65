"""Sections 1 and 2: scores and Grad-CAM against forward passes, and what further classes cost."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Finding, at_most, ratios
from benchmarks.photos import Photos

BATCH = 32
_PAIRS = 5  # in a round, each of single batches: a machine that others use too changes its speed within seconds
_OF_KERAS = {"MobileNet": 0.75, "MobileNetV2": 0.65, "ResNet50": 0.85, "bundled": 0.65}
_OF_GRAPH = 1.05
_TEN_CLASSES = 1.15
_OF_TRANSFORMER = 1.35


def compute(photos: Photos, folder: Path, rounds: int, names: tuple[str, ...] = tuple(_OF_KERAS)) -> Iterator[Finding]:
    """Section 1: our scores + Grad-CAM over the Keras forward pass, and over our own graph's forward pass."""
    from benchmarks.models import timed_model

    for name in names:
        model = timed_model(name, photos.batch(BATCH), folder)
        found = ratios(model.explain, model.run_keras, _PAIRS * rounds)
        yield Finding("1 compute", f"{name}: explain / Keras forward", found, at_most(_OF_KERAS[name]))
        found = ratios(model.explain, model.run_graph, _PAIRS * rounds)
        yield Finding("1 compute", f"{name}: explain / own forward", found, at_most(_OF_GRAPH))


def tokens(photos: Photos, folder: Path, rounds: int) -> Iterator[Finding]:
    """Section 1, of a transformer: behind the last tokens lies a whole block, which is run and differentiated again."""
    from benchmarks.models import timed_model

    model = timed_model("ViT-S/16", photos.batch(BATCH // 2), folder)
    found = ratios(model.explain, model.run_graph, _PAIRS * rounds)
    yield Finding("1 tokens", "ViT-S/16: explain / own forward", found, at_most(_OF_TRANSFORMER))


def classes(photos: Photos, folder: Path, rounds: int) -> Iterator[Finding]:
    """Section 2: explaining 3 and 10 classes of each image over explaining one."""
    from benchmarks.models import BUNDLED, timed_model

    model = timed_model(BUNDLED, photos.batch(BATCH), folder)
    for count in (3, 10):
        found = ratios(lambda count=count: model.explain(count), model.explain, _PAIRS * rounds)
        target = at_most(_TEN_CLASSES) if count == 10 else None
        yield Finding("2 classes", f"bundled: {count} classes / 1 class", found, target)
