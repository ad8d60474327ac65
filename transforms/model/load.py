"""Any model source -> one traced function and what is known about it: the only place that asks what kind it is.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from transforms.model.class_names import resolve_class_names
from transforms.model.conventions import convention_of
from transforms.model.errors import ModelRefused
from transforms.model.input_scaling import own_scaling
from transforms.model.local_copy import local_copy
from transforms.model.options import ModelOptions
from transforms.model.preprocessing import NAMED, Preprocessing, as_named, parse_preprocessing
from transforms.model.source import ModelSource, parse_source
from transforms.model.traced import TracedModel
from transforms.model.tracing import trace_keras_model

Storage = Mapping[str, dict[str, Any]]


def load_model(options: ModelOptions, storage: Storage) -> TracedModel:
    """Load the model that ``options`` name and trace it in inference mode.

    Args:
        options: where the model is, and what the user says about it.
        storage: fsspec options by URL scheme.

    Raises:
        ModelRefused: it cannot be loaded, or does not take images; says what would help.
    """
    source = parse_source(options.source)
    if options.weights is not None and source.kind not in ("keras", "factory"):
        raise ModelRefused(
            f"model.weights is for architectures (keras:NAME, package.module:function); {options.source} brings its own"
        )
    traced = _LOADERS[source.kind](source, options, storage)
    preprocessing, notes = _preprocessing(options, source, traced)
    return dataclasses.replace(
        traced,
        preprocessing=preprocessing,
        class_names=resolve_class_names(
            options.class_names, class_count(traced, options.output), source.kind in ("bundled", "keras"), storage
        ),
        notes=(*traced.notes, *notes),
    )


def class_count(traced: TracedModel, output: str | None) -> int | None:
    """Classes of the output with the scores; a single score stands for two classes. None where it is not known."""
    if output is None and len(traced.outputs) == 1:
        tensor = traced.function.outputs[0]
    elif output in traced.outputs:
        tensor = traced.function.outputs[traced.outputs.index(output)]
    else:
        return None
    if tensor.shape.rank is None:
        return None
    count = tensor.shape[1:].num_elements()
    return 2 if count == 1 else count


def _bundled(source: ModelSource, options: ModelOptions, storage: Storage) -> TracedModel:
    from transforms.model.bundled import efficientnet_lite0

    if source.name != "efficientnet-lite0":
        raise ModelRefused(f"there is no bundled model {source.name!r}: say bundled:efficientnet-lite0")
    return trace_keras_model(efficientnet_lite0(), options.input_size)


def _application(source: ModelSource, options: ModelOptions, storage: Storage) -> TracedModel:
    from transforms.model.applications import build_application

    weights = {None: "imagenet", "none": None}.get(options.weights, options.weights)
    if weights in ("imagenet", None):
        return trace_keras_model(build_application(source.name, weights, options.input_size), "auto")
    raise ModelRefused("not yet")


def _keras_file(source: ModelSource, options: ModelOptions, storage: Storage) -> TracedModel:
    from transforms.model.keras_files import load_keras_file

    with local_copy(source.name, storage) as path:
        model = load_keras_file(path, options.source, options.trust)
    return trace_keras_model(model, options.input_size)


_LOADERS = {
    "bundled": _bundled,
    "keras": _application,
    "keras_file": _keras_file,
}


def _preprocessing(
    options: ModelOptions, source: ModelSource, traced: TracedModel
) -> tuple[Preprocessing, tuple[str, ...]]:
    """What the user says; else what the model shows, the source promises or the names of its layers tell."""
    if options.preprocessing != "auto":
        try:
            return as_named(parse_preprocessing(options.preprocessing)), ()
        except ValueError as error:
            raise ModelRefused(f"model.{error}") from error
    none = NAMED["none"]
    if source.kind == "bundled":
        from transforms.model.bundled import LITE0_PREPROCESSING

        return LITE0_PREPROCESSING, ()
    scaling = own_scaling(traced.function)
    if scaling is not None:
        return none, (f"the model scales its pixels itself ({scaling}): it is given 0..255",)
    names = {name for path in traced.layer_tensors for name in path.split("/")}
    names.add(getattr(traced.keep_alive, "name", ""))
    convention = convention_of(names)
    if convention is not None:
        family, name = convention
        note = (
            f"preprocessing {name} is assumed, the convention of {family} in keras.applications: if the model was "
            "trained with another, say so with model.preprocessing"
        )
        return NAMED[name], () if source.kind == "keras" else (note,)
    return none, (
        "PREPROCESSING IS NOT KNOWN: the model is given pixels of 0..255 as they are. If it was trained with others, "
        f"its scores and maps are meaningless: say model.preprocessing: {', '.join(NAMED)}, or {{scale, offset, bgr}}",
    )
