"""What helps a model whose input is not one batch of images. No TensorFlow here."""

from collections.abc import Sequence

Shape = Sequence[int | None]

BY_FUNCTION = "name it as model.source: package.module:function"


def remedy_for(shapes: Sequence[Shape], names: Sequence[str] = ()) -> str:
    """What to do about a video or a pair of images; empty for anything else.

    Args:
        shapes: of all inputs, the batch first.
        names: of the inputs, where they have some.
    """
    if len(shapes) == 1:
        return _for_a_video(shapes[0]) if len(shapes[0]) == 5 else ""
    images = [place for place, shape in enumerate(shapes) if len(shape) == 4]
    return _for_a_pair([names[place] for place in images] if names else []) if len(images) > 1 else ""


def _for_a_video(shape: Shape) -> str:
    size = ", ".join("None" if side is None else str(side) for side in shape[2:])
    return (
        "it takes videos or volumes, and a heatmap is drawn on one image. 3-D convolutions have no map over one image. "
        "A network that looks at each frame by itself can be explained on clips of one frame: call what is inside "
        "TimeDistributed frame, what comes behind it rest, return keras.Model(image, rest(frame(image)[:, None])) with "
        f"image = keras.Input(({size})) from a Python function, and {BY_FUNCTION}"
    )


def _for_a_pair(names: Sequence[str]) -> str:
    which = f" ({', '.join(names)})" if names else ""
    return (
        f"it compares images{which}, as a Siamese network does, and a heatmap is drawn on one of them. Hold the others "
        "fixed: in a Python function, load the model and the reference picture, [1, height, width, 3], return "
        "keras.Model(image, model([image, keras.ops.zeros_like(image) + reference])) with image = "
        f"keras.Input((height, width, 3)), and {BY_FUNCTION}: the score of likeness is then explained for each photo "
        "against that reference. An embedding alone, one branch of the network, has no score to explain"
    )
