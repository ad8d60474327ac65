"""Several lines of a manifest for one image: a line for each of its boxes, or a line that was written twice."""

from collections.abc import Sequence

from transforms.records import ImageRef


def merge_lines(lines: Sequence[ImageRef]) -> ImageRef:
    """What the lines of one image say together, in their order.

    All their boxes and target classes, each once; the first label, the first prediction that is
    expected, and the first value of each further column. A line
    without boxes says nothing against the boxes of another.
    """
    if len(lines) == 1:
        return lines[0]
    first = lines[0]
    boxes = [line.boxes for line in lines if line.boxes is not None]
    targets = [line.targets for line in lines if line.targets is not None]
    return ImageRef(
        uri=first.uri,
        image_id=first.image_id,
        label=next((line.label for line in lines if line.label is not None), None),
        targets=tuple(dict.fromkeys(target for some in targets for target in some)) if targets else None,
        boxes=tuple(dict.fromkeys(box for some in boxes for box in some)) if boxes else None,
        extra=tuple(
            next((value for value in values if value is not None), None)
            for values in zip(*(line.extra for line in lines), strict=True)
        ),
        expected=next((line.expected for line in lines if line.expected is not None), None),
        span=first.span,
    )


def labels_of(lines: Sequence[ImageRef]) -> tuple[str, ...]:
    """The different labels that the lines of one image give it."""
    return tuple(dict.fromkeys(line.label for line in lines if line.label is not None))


def describe_conflict(uri: str, labels: Sequence[str]) -> str:
    """``photos/1.jpg is 'cat' and 'dog'``."""
    return f"{uri} is {' and '.join(repr(label) for label in labels[:5])}" + (" ..." if len(labels) > 5 else "")
