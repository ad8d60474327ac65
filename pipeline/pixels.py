"""Does the model get the pixels that it was made for? Asked of a few images, before anything starts."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.config import Config
from transforms.concurrency import map_patiently
from transforms.expected import expected_of
from transforms.explain import ExplainSettings, ImageLoader, LoadedImage
from transforms.model import ModelCard, ModelRefused, PlannedModel
from transforms.model.check import CheckedImages, PixelCheck, judge
from transforms.records import ImageRef
from transforms.sampling import Sampling
from transforms.storage import Storage, uris
from transforms.targets import TargetPolicy
from transforms.true_labels import true_classes_of, true_values_of

_LOADERS = 16  # threads: they wait for the storage most of the time
_FORMAT = 4
"""To be raised when the same images would give another table."""


def check_pixels(
    config: Config,
    model: PlannedModel,
    card: ModelCard,
    refs: Sequence[ImageRef],
    settings: ExplainSettings,
    models: str,
    storage: Storage,
    say: Callable[[str], None],
) -> PixelCheck | None:
    """The table of the check, kept beside the compiled model, so that a second run with the same images has it.

    Args:
        model: loaded only where there is no table yet.
        refs: the sampled images.
        models: URI of the folder of the compiled model.

    Returns:
        None where no image could be loaded.

    Raises:
        ModelRefused: the pixels do not suit the model, and ``model.check_policy`` is not ``warn``.
    """
    kept = uris.join(models, f"pixels-{_digest(config, card, refs)}.json")
    try:
        check = PixelCheck.decode(storage.read(kept))
    except FileNotFoundError:
        say(f"checking the pixels on {len(refs)} images")
        measured = measure_refs(config, model, refs, settings, storage)
        if measured is None:
            say("no image could be loaded: the pixels are not checked")
            return None
        check = measured
        if 2 * check.images >= len(refs):
            storage.put(kept, check.encode())
    verdict = judge(check, config.model.min_agreement)
    for remark in verdict.remarks:
        say(remark)
    if verdict.refusal is not None:
        if config.model.check_policy != "warn":
            raise ModelRefused(verdict.refusal)
        say(f"WARNING: {verdict.refusal}")
    return check


def measure_refs(
    config: Config,
    model: PlannedModel,
    refs: Sequence[ImageRef],
    settings: ExplainSettings,
    storage: Storage,
    filters: Sequence[Sampling] = (),
) -> PixelCheck | None:
    """Load the images as the job does, and score them; those that cannot be loaded are left out.

    Args:
        filters: other ways to resize them, to be scored too.
    """
    from transforms.model.check import measure_pixels, reference_arrays

    card = model.card
    loaded = load_refs(card, refs, settings, storage)
    if not loaded:
        return None
    references = None
    if config.model.reference is not None:
        encoded = [storage.fetch(image.ref.uri, settings.limits.max_bytes, lambda _: None) for image in loaded]
        references = reference_arrays(config.model.reference, encoded, card.input_height, card.input_width)
    other_pixels = {}
    for sampling in filters:
        resized = dataclasses.replace(card, preprocessing=card.preprocessing | sampling.as_fields())
        again = {
            image.ref.image_id: image for image in load_refs(resized, [one.ref for one in loaded], settings, storage)
        }
        if len(again) == len(loaded):  # a store may have stopped to answer
            other_pixels[sampling.filter_name] = np.stack([again[one.ref.image_id].model_input for one in loaded])
    return measure_pixels(model, images_to_check(loaded, card, references), other_pixels)


def load_refs(
    card: ModelCard, refs: Sequence[ImageRef], settings: ExplainSettings, storage: Storage
) -> list[LoadedImage]:
    """Images as the job would load them; those that cannot be are left out.

    Beside each there is what the model itself takes: no label, which only maps are contrasted with.
    """
    card = dataclasses.replace(card, contrast=None)
    asked = [dataclasses.replace(ref, targets=None) for ref in refs]
    plain = dataclasses.replace(settings, targets=TargetPolicy("predicted"), detect_changes=False, masks=None)
    found = map_patiently(
        ImageLoader(card, plain, storage).load,
        asked,
        _LOADERS,
        2 * _LOADERS,
        2 * storage.timeout,  # to fetch an image, and to decode it
        lambda _: None,
    )
    return [image for image in found if isinstance(image, LoadedImage)]


def images_to_check(
    loaded: Sequence[LoadedImage], card: ModelCard, references: np.ndarray | None = None
) -> CheckedImages:
    """Loaded images with what is known about each.

    Args:
        references: what the user's own code makes of them, float ``[N, H, W, 3]``.
    """
    is_value = card.output_kind == "value"
    return CheckedImages(
        pixels=np.stack([image.model_input for image in loaded]),
        labels=[true_classes_of(image.ref, card.classes) or None for image in loaded],
        expected=[None if is_value else expected_of(image.ref, card.classes) for image in loaded],
        values=_true_values([image.ref for image in loaded], card.class_count) if is_value else None,
        references=references,
        beside=[np.stack(rows) for rows in zip(*(image.inputs for image in loaded), strict=True)],
    )


def _true_values(refs: Sequence[ImageRef], count: int) -> np.ndarray:
    """float64 ``[N, C]``, NaN where nothing is known."""
    known = [true_values_of(ref, count) for ref in refs]
    return np.array([[np.nan if value is None else value for value in row] for row in known], np.float64)


def _digest(config: Config, card: ModelCard, refs: Sequence[ImageRef]) -> str:
    """Of what the table depends on besides the model: which images, what is known about them, the user's own code."""
    known = [[ref.image_id, ref.label, ref.labels, ref.expected, ref.extra] for ref in refs]
    from transforms.model.load import code_digest

    reference = config.model.reference
    code = None if reference is None else [reference, code_digest(reference.partition(":")[0])]
    parts = [_FORMAT, known, card.class_names, config.model.preprocessing, code]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
