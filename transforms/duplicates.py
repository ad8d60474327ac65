"""Several lines of a manifest for one image: a line for each of its boxes or labels, or one that was written twice."""

from collections.abc import Sequence

from transforms.records import ImageRef


def merge_lines(lines: Sequence[ImageRef], all_labels: bool = False) -> ImageRef:
    """What the lines of one image say together, in their order.

    All their boxes and target classes, each once; the labels of the first line that has any, or those of all; the first
    prediction that is expected, and the first value of each further column. A line without boxes says nothing against
    the boxes of another.
    """
    if len(lines) == 1:
        return lines[0]
    first = lines[0]
    boxes = [line.boxes for line in lines if line.boxes is not None]
    targets = [line.targets for line in lines if line.targets is not None]
    label, labels = next(((line.label, line.labels) for line in lines if _texts(line) is not None), (None, None))
    if all_labels and len(every := tuple(dict.fromkeys(text for line in lines for text in _texts(line) or ()))) > 1:
        label, labels = ";".join(every), every
    return ImageRef(
        uri=first.uri,
        image_id=first.image_id,
        label=label,
        targets=tuple(dict.fromkeys(target for some in targets for target in some)) if targets else None,
        boxes=tuple(dict.fromkeys(box for some in boxes for box in some)) if boxes else None,
        extra=tuple(
            next((value for value in values if value is not None), None)
            for values in zip(*(line.extra for line in lines), strict=True)
        ),
        expected=next((line.expected for line in lines if line.expected is not None), None),
        labels=labels,
        span=first.span,
    )


def labels_of(lines: Sequence[ImageRef]) -> tuple[str, ...]:
    """The different labels that the lines of one image give it; several of one line are one text."""
    return tuple(dict.fromkeys(text for line in lines if (text := label_text(line)) is not None))


def label_text(line: ImageRef) -> str | None:
    """All that a line says is true of its image; None where it says nothing."""
    texts = _texts(line)
    return None if texts is None else "; ".join(texts) or "none of the classes"


def describe_conflict(uri: str, labels: Sequence[str]) -> str:
    """``photos/1.jpg is 'cat' and 'dog'``."""
    return f"{uri} is {' and '.join(repr(label) for label in labels[:5])}" + (" ..." if len(labels) > 5 else "")


def _texts(line: ImageRef) -> tuple[str, ...] | None:
    if line.labels is not None:
        return line.labels
    return None if line.label is None else (line.label,)
