"""A model that explains images here and now."""

import tempfile
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beam_gradcam.explained import Explained, Explanation
from beam_gradcam.explaining import explain_sources
from beam_gradcam.settings import Targets, explain_settings, model_options
from beam_gradcam.sources import Source, source_of
from transforms.explain import BatchExplainer, Tally
from transforms.model import (
    GradCamModel,
    ModelCard,
    ModelOptions,
    PlannedModel,
    compile_live,
    compile_model,
    load_compiled,
)
from transforms.records import Box
from transforms.storage import Storage, uris

if TYPE_CHECKING:
    from beam_gradcam.checking import Checked


class Model:
    """A compiled Grad-CAM model. Safe to use from several threads: one batch at a time is computed."""

    def __init__(
        self, model: GradCamModel, options: ModelOptions, live: Any, folder: str, storage: Storage, batch_size: int
    ):
        self._options, self._live = options, live
        self.folder = folder  # URI of the compiled model, a SavedModel with explanation.json beside it
        self._storage = storage
        self._explainer = BatchExplainer(model, batch_size)

    def __repr__(self) -> str:
        card = self.card
        return f"<{card.source}: {card.way} at {card.target_layer}, {card.class_count} classes>"

    @property
    def card(self) -> ModelCard:
        """What is known about the model: input size, classes, target layer, preprocessing, notes, fingerprint."""
        return self._explainer.card

    def explain(
        self, images: Iterable[Any], targets: Targets = "predicted", regions: Mapping[str, Box] | None = None
    ) -> Explained:
        """Explain images.

        Args:
            images: paths, URIs, bytes of image files, RGB pixels (uint8 ``[H, W, 3]``, of any size), or
                :class:`beam_gradcam.Image`, which adds labels, boxes and target classes.
            targets: ``predicted``, ``top_k:N``, ``label``, or a list of class indices and names.
            regions: declared regions by name, boxes (x0, y0, x1, y1) in 0..1 of the model input.

        Returns:
            One explanation for each image and target class, in order. An image that cannot be explained is one
            explanation too, with its status and error.

        Raises:
            UserError: the targets, or something that is no image.
        """
        sources = self._sources(images)
        settings = explain_settings(self.card, targets, regions or {}, self._explainer.batch_size)
        results = explain_sources(sources, self._explainer, settings, self._storage, Tally())
        tables = [rows for rows, _, _ in results]
        explanations = [
            Explanation(row, cam, placement, source.origin, self._storage)
            for source, (rows, cams, placement) in zip(sources, results, strict=True)
            for row, cam in zip(rows.to_pylist(), cams, strict=True)
        ]
        return Explained(explanations, pa.concat_tables([settings.schema.empty_table(), *tables]).combine_chunks())

    def check(self, images: Iterable[Any], min_agreement: float = 0.98) -> "Checked":
        """Score images under each plausible preprocessing, as a job does before it starts; some 64 will do.

        Args:
            images: as for :meth:`explain`. Labels, and ``expected`` (your own predictions), make it see more.
            min_agreement: with your own predictions, 0..1.

        Returns:
            The table, and in ``refusal`` why a job would not start, or None. The model is loaded for it once more.

        Raises:
            UserError: none of the images can be loaded.
        """
        from beam_gradcam.checking import check_sources  # which needs TensorFlow

        sources = self._sources(images)
        settings = explain_settings(self.card, "predicted", {}, self._explainer.batch_size)
        return check_sources(
            sources, PlannedModel(self._options, self._storage, self._live), settings, self._storage, min_agreement
        )

    def _sources(self, images: Iterable[Any]) -> list[Source]:
        return [
            source_of(image, self.card.inputs) for image in ([images] if isinstance(images, str | bytes) else images)
        ]


def open_model(
    model: Any,
    *,
    batch_size: int = 32,
    models: str | None = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Model:
    """Open a model and compile it for explaining.

    Args:
        model: everything that ``model.source`` of a config takes: a ``.keras`` or ``.h5`` file, the folder of a
            SavedModel, ``hub:HANDLE``, ``keras:NAME``, ``bundled:efficientnet-lite0``, ``package.module:function``, at
            a path or any fsspec URL; or a live Keras 3 or tf_keras model, ``tf.Module`` or function of images.
        batch_size: images that are computed at a time.
        models: a folder, path or URL, that keeps the compiled model for the next time; None: gone with the process.
        storage_options: fsspec's options by URL scheme.
        options: further keys of the config's section ``model`` (weights, preprocessing, input_size, class_names,
            target_layer, resize, output ...), and ``method``, ``contrast``, ``layers`` and ``fusion`` of ``explain``.

    Raises:
        UserError: an unknown option, or a model that cannot be loaded or explained; with the cause and the remedy.

    >>> import beam_gradcam as bg
    >>> model = bg.open_model("bundled:efficientnet-lite0")
    >>> model.card.cam_height, model.card.cam_width
    (7, 7)
    """
    storage = Storage(storage_options or {})
    live = not isinstance(model, str)
    chosen = model_options(type(model).__name__ if live else model, options)
    if models is None:
        temporary = tempfile.TemporaryDirectory(prefix="beam-gradcam-")
        folder = temporary.name
    else:
        temporary, folder = None, storage.absolute(models)
    card = compile_live(model, chosen, folder, storage) if live else compile_model(chosen, folder, storage)
    place = uris.join(folder, card.fingerprint)
    compiled = load_compiled(place, storage, batch_size)
    opened = Model(compiled, chosen, model if live else None, place, storage, batch_size)
    if temporary is not None:
        weakref.finalize(opened, temporary.cleanup)
    return opened
