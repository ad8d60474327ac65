"""How photos come to the size of a model's input: said by the user, or found in the model. No TensorFlow here."""

import dataclasses

from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.sampling import Sampling


@dataclasses.dataclass(frozen=True)
class FoundResizing:
    """What a model, or what was saved with it, does to photos of any size."""

    height: int  # pixels that photos are brought to
    width: int
    sampling: Sampling
    origin: str  # what says so, for a person: "its layer resizing"

    def fits(self, shape: tuple[int | None, ...]) -> bool:
        """``[batch, H, W, 3]`` or ``[batch, 3, H, W]`` is what comes out of it."""
        return (self.height, self.width) in (shape[1:3], shape[2:4])


def choose_sampling(options: ModelOptions, found: FoundResizing | None) -> tuple[Sampling, tuple[str, ...]]:
    """The user's choice; where that is ``auto``, what was found; else averages over areas. And notes on that.

    What the user says of ``resize``, ``crop_fraction`` or ``pad_color`` counts before what was found.

    Raises:
        ModelRefused: a colour of bars where there are none.
    """
    chosen, notes = _chosen(options, found)
    if options.pad_color != Sampling.pad_color and chosen.resize != "pad":
        raise ModelRefused(
            f"model.pad_color is {list(options.pad_color)}, but photos are resized by {chosen.resize}, which leaves no "
            "bars: say model.resize: pad, or leave pad_color out"
        )
    return chosen, notes


def _chosen(options: ModelOptions, found: FoundResizing | None) -> tuple[Sampling, tuple[str, ...]]:
    own = Sampling(options.resize, "area", options.antialias, options.crop_fraction, options.pad_color)
    if options.interpolation != "auto":
        return dataclasses.replace(own, interpolation=options.interpolation).settled(), ()
    if found is None:
        return own.settled(), (
            "the model does not say how its photos were resized: they are averaged over areas, which another filter "
            "may differ from; say the one it was trained with, model.interpolation: nearest for keras.utils.load_img, "
            "bilinear for image_dataset_from_directory and tf.image.resize",
        )
    chosen = found.sampling
    if (own.resize, own.crop_fraction) != (Sampling.resize, Sampling.crop_fraction):
        chosen = dataclasses.replace(chosen, resize=own.resize, crop_fraction=own.crop_fraction)
    if own.pad_color != Sampling.pad_color:
        chosen = dataclasses.replace(chosen, pad_color=own.pad_color)
    chosen = chosen.settled()
    return chosen, (f"photos are resized as {found.origin} does: {chosen}; in whole levels of 0..255",)
