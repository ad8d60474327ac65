"""The columns of a manifest: those that must be there, those that stand twice, and names that are nearly right."""

import difflib
from collections.abc import Iterable

from transforms.manifest.manifest import Manifest, ManifestError

# What other tools call the columns that mean something here.
_OTHER_NAMES = {
    "uri": ("url", "path", "file", "filename", "file_name", "filepath", "image", "image_path", "image_url", "img"),
    "label": ("class", "class_name", "category", "category_name", "target", "y", "ground_truth", "species"),
    "boxes": ("bbox", "bboxes", "box", "bounding_box", "bounding_boxes"),
    "targets": (),
}


def strip_names(names: Iterable[str]) -> list[str]:
    """A blank before or after a name is none of it: ``uri, label`` in a CSV."""
    return [name.strip() for name in names]


def check_columns(names: list[str], manifest: Manifest, number: int | None = None) -> None:
    """Raises ManifestError where a column stands twice, or one that must be there does not."""
    where = manifest.shown if number is None else f"{manifest.shown}, line {number}"
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(f"{where}: the column {', '.join(twice)} stands twice; name each column once")
    missing = sorted(name for name in manifest.required_columns if name not in names)
    if missing:
        raise ManifestError(
            f"{where}: there is no column {', '.join(missing)}; the manifest has {', '.join(names) or 'none'}; "
            f"name the right one in input.columns{_guess(missing, names, manifest)}"
        )


def near_misses(names: Iterable[str], manifest: Manifest) -> list[str]:
    """What to say of columns that are not used, but are called nearly as one that would be."""
    names = list(names)
    kinds = {"label": manifest.label_column, "targets": manifest.targets_column, "boxes": manifest.boxes_column}
    notes = []
    for kind, wanted in kinds.items():
        near = None if wanted is None or wanted in names else _nearest(kind, wanted, names)
        if near is not None:
            notes.append(
                f"the manifest has no column {wanted}, but {near!r}, which is only carried along; if it holds the "
                f"{kind}, set input.columns.{kind}: {near}"
            )
    return notes


def _guess(missing: list[str], names: list[str], manifest: Manifest) -> str:
    near = _nearest("uri", manifest.uri_column, names) if missing == [manifest.uri_column] else None
    return "" if near is None else f", such as {{uri: {near}}}"


def _nearest(kind: str, wanted: str, names: list[str]) -> str | None:
    """The column that is called as ``wanted`` but for case or a letter, else as other tools call it."""
    small = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(wanted.casefold(), list(small), 1, cutoff=0.8)
    found = [*close, *(name for name in _OTHER_NAMES[kind] if name in small)]
    return small[found[0]] if found else None
