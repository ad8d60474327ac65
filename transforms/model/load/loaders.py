"""Any model source -> one traced function and what is known about it: the only place that asks what kind it is.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import dataclasses
from typing import Any, NamedTuple

from transforms.model.errors import ModelRefused
from transforms.model.load.class_names import resolve_class_names
from transforms.model.load.expected_preprocessing import expected_preprocessing
from transforms.model.load.factory import call_factory
from transforms.model.load.from_savedmodel import (
    Endpoint,
    choose_endpoint,
    endpoints_of,
    load_savedmodel,
    trace_endpoint,
)
from transforms.model.load.hub_library import hub_layers, hub_layers_in_savedmodel
from transforms.model.load.model_files import local_model
from transforms.model.load.source import HANDLES, Kind, ModelSource, parse_source
from transforms.model.load.tensor_sizes import refuse_giant_tensors
from transforms.model.load.traced import TracedModel
from transforms.model.load.tracing import trace_keras_model
from transforms.model.load.training_loss import loss_in_file, loss_in_savedmodel, loss_of_model, losses_of
from transforms.model.options import ModelOptions
from transforms.model.tensorflow import tf
from transforms.storage import Storage


def load_model(options: ModelOptions, storage: Storage) -> TracedModel:
    """Load the model that ``options`` name and trace it in inference mode.

    Args:
        options: where the model is, and what the user says about it.

    Raises:
        ModelRefused: it cannot be loaded, or does not take images; says what would help.
    """
    source = parse_source(options.source)
    if options.weights is not None and source.kind not in ("keras", "factory"):
        raise ModelRefused(
            f"model.weights is for architectures (keras:NAME, package.module:function); {options.source} brings its own"
        )
    if options.inputs and source.kind in ("bundled", "keras", "hub"):
        raise ModelRefused(f"model.inputs: {options.source} takes images alone; leave model.inputs out")
    return _completed(_LOADERS[source.kind](source, options, storage), source.kind, options, storage)


def load_live(model: Any, options: ModelOptions, storage: Storage) -> TracedModel:
    """Trace a Keras 3 or tf_keras model, or something that can be called with images, in inference mode.

    Raises:
        ModelRefused: it is neither, or does not take images.
    """
    return _completed(_live(model, options.source, options), "factory", options, storage)


def _completed(loaded: "_Loaded", kind: Kind, options: ModelOptions, storage: Storage) -> TracedModel:
    traced, layers, loss = loaded
    refuse_giant_tensors(traced.function, options.source)
    preprocessing, notes, evidence = expected_preprocessing(options.preprocessing, kind, traced, layers)
    return dataclasses.replace(
        traced,
        preprocessing=preprocessing,
        evidence=evidence,
        class_names=resolve_class_names(
            options.class_names, class_count(traced, options.output), kind in ("bundled", "keras"), storage
        ),
        notes=(*traced.notes, *notes),
        losses=losses_of(loss, traced.outputs),
    )


class _Loaded(NamedTuple):
    traced: TracedModel
    hub_layers: frozenset[str] = frozenset()  # names of the hub.KerasLayer in it
    loss: Any = None  # as a compile was given it


def class_count(traced: TracedModel, output: str | None) -> int | None:
    """Classes of the output with the scores; None where it is not known, as for one unit: two classes, or a value."""
    if output is None and len(traced.outputs) == 1:
        tensor = traced.function.outputs[0]
    elif output in traced.outputs:
        tensor = traced.function.outputs[traced.outputs.index(output)]
    else:
        return None
    if tensor.shape.rank is None:
        return None
    count = tensor.shape[1:].num_elements()
    return None if count == 1 else count


def _bundled(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    from transforms.model.load.bundled import build_efficientnet_lite0

    if source.name != "efficientnet-lite0":
        raise ModelRefused(f"there is no bundled model {source.name!r}: say bundled:efficientnet-lite0")
    return _Loaded(trace_keras_model(build_efficientnet_lite0(), options.input_size))


def _application(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    from transforms.model.load.from_keras import application_with_weights, build_application, size_of

    weights = "imagenet" if options.weights is None else options.weights
    if weights == "imagenet":
        model = build_application(source.name, weights, options.input_size)
        return _Loaded(trace_keras_model(model, size_of(model)))
    if weights == "none":
        model = build_application(source.name, None, options.input_size)
        return _Loaded(
            trace_keras_model(model, size_of(model), ("the weights are random: scores and maps mean nothing",))
        )
    with local_model(weights, storage) as path:
        model, note = application_with_weights(source.name, path, options.input_size, weights)
    return _Loaded(trace_keras_model(model, size_of(model), (note,)))


def _factory(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    from transforms.model.load.from_keras import load_weights, open_weights

    model = call_factory(source.name)
    if not hasattr(model, "count_params"):
        if options.weights is not None:
            raise ModelRefused(
                f"{source.name}() returns {type(model).__name__}, no Keras model: model.weights cannot be put into it; "
                "load them in the function"
            )
    elif options.weights is not None:
        with local_model(options.weights, storage) as path, open_weights(path, options.weights) as weights:
            load_weights(model, weights, f"{source.name}()")
    return _live(model, source.name, options)


def _live(model: Any, name: str, options: ModelOptions) -> _Loaded:
    if hasattr(model, "count_params"):
        return _Loaded(
            trace_keras_model(model, options.input_size, (), options.inputs), hub_layers(model), loss_of_model(model)
        )
    if options.inputs:
        raise ModelRefused(
            f"model.inputs: {name} gives a function of images alone; give a Keras model, or leave it out"
        )
    if not callable(model):
        raise ModelRefused(f"{name} gives {type(model).__name__}: it must be a Keras model or a function of images")
    any_images = {"images": tf.TensorSpec([None, None, None, 3], tf.float32)}
    endpoint = Endpoint(name, any_images, tf.function(model))
    return _Loaded(trace_endpoint(endpoint, options.input_size, model, None, ()))


def _keras_file(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    from transforms.model.load.from_keras import load_keras_file

    with local_model(source.name, storage) as path:
        model, loss = load_keras_file(path, options.source, options.trust), loss_in_file(path)
    return _Loaded(trace_keras_model(model, options.input_size, (), options.inputs), hub_layers(model), loss)


def _keras_hub(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    from transforms.model.load.from_keras import load_preset

    if source.name.startswith(HANDLES):
        model = load_preset(source.name, options.source, options.trust)
    else:
        with local_model(source.name, storage) as path:
            model = load_preset(str(path), options.source, options.trust)
    return _Loaded(trace_keras_model(model, options.input_size, inputs=options.inputs))


def _savedmodel(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    with local_model(source.name, storage) as path:
        loaded = load_savedmodel(path, options.source, options.trust)
        layers, loss = hub_layers_in_savedmodel(path), loss_in_savedmodel(path)
    endpoints = endpoints_of(loaded)
    if options.inputs:
        endpoints = _bound(endpoints, options)
    endpoint, notes = choose_endpoint(endpoints, options.signature, options.source)
    return _Loaded(trace_endpoint(endpoint, options.input_size, loaded, None, notes), layers, loss)


def _bound(endpoints: dict[str, Endpoint], options: ModelOptions) -> dict[str, Endpoint]:
    """The signature that is named; else those that have all inputs of ``model.inputs``, and one more."""
    if options.signature in endpoints:
        return {options.signature: endpoints[options.signature].bound(options.inputs)}
    fitting = {name: one for name, one in endpoints.items() if set(options.inputs) < set(one.inputs)}
    # Where none fits, the first says what it has.
    return {name: one.bound(options.inputs) for name, one in (fitting or endpoints).items()}


def _hub(source: ModelSource, options: ModelOptions, storage: Storage) -> _Loaded:
    from transforms.model.load.from_savedmodel import load_hub_module

    return _Loaded(load_hub_module(source.name, options, storage))


_LOADERS = {
    "bundled": _bundled,
    "keras": _application,
    "keras_file": _keras_file,
    "keras_hub": _keras_hub,
    "savedmodel": _savedmodel,
    "hub": _hub,
    "factory": _factory,
}
