"""COCO's JSON as a manifest: images, the boxes that its annotations have for them, and their category as the label."""

from collections.abc import Iterator
from typing import Any

from transforms.manifest.cells import parse_json
from transforms.manifest.manifest import Manifest, ManifestError

CATEGORIES = "categories"
"""The further column with the names of all categories of an image, as JSON."""


def read_coco(text: str, manifest: Manifest) -> Iterator[tuple[int, dict[str, Any]]]:
    """The images, numbered from 1. An image whose annotations are all of one category has it as its label.

    Without annotations for an image there is nothing to find in it; without any in the file nothing is known of boxes.
    """
    try:
        tree = parse_json(text)
        images = tree["images"]
        annotations = tree.get("annotations")
        names = {category["id"]: category["name"] for category in tree.get("categories", ())}
        of_image: dict[Any, list[dict]] = {}
        for annotation in annotations or ():
            of_image.setdefault(annotation["image_id"], []).append(annotation)
        for number, image in enumerate(images, 1):
            found = of_image.get(image["id"], [])
            boxes = [list(annotation["bbox"]) for annotation in found if annotation.get("bbox")]
            categories = list(dict.fromkeys(names.get(one.get("category_id")) for one in found))
            known = [name for name in categories if name is not None]
            line = {manifest.uri_column: image["file_name"], CATEGORIES: known or None}
            if manifest.label_column is not None:
                line[manifest.label_column] = known[0] if len(categories) == 1 and known else None
            if manifest.boxes_column is not None:
                line[manifest.boxes_column] = None if annotations is None else [_corners(box) for box in boxes]
            yield number, line
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ManifestError(
            f"{manifest.shown}: not COCO's JSON ({type(error).__name__}: {error}): it must be an object with images "
            "(id, file_name) and, where there are boxes, annotations (image_id, bbox, category_id) and categories (id, "
            "name); set input.format where it is something else"
        ) from None


def _corners(box: list[float]) -> dict[str, float]:
    """By name, so that no ``input.box_format`` is asked: COCO has but one."""
    x, y, width, height = box
    return {"x0": x, "y0": y, "x1": x + width, "y1": y + height}
