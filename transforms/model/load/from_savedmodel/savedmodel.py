"""SavedModel directories, of TF2 and of TF1, and what is loaded from them. Imports TensorFlow."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.extra_inputs import ExtraInput
from transforms.model.load.bound_inputs import bind_inputs
from transforms.model.load.from_savedmodel.graph_check import refuse_code_in_savedmodel
from transforms.model.load.from_savedmodel.reference_variables import ReferenceFunction, has_reference_variables
from transforms.model.load.not_one_image import remedy_for
from transforms.model.load.traced import TracedModel
from transforms.model.load.tracing import adapt_input
from transforms.model.options import InputOption
from transforms.model.tensorflow import tf

_DEFAULT = "serving_default"
_CALL = "__call__"
_MANY = 8  # signatures of one model that are worth listing


@dataclasses.dataclass(frozen=True, eq=False)
class Endpoint:
    """One way to call a loaded model, in inference mode."""

    name: str  # of the signature, or __call__
    inputs: dict[str, Any]  # name -> tf.TensorSpec
    call: Callable[..., Any]  # the one input, and those of extra -> outputs
    call_named: Callable[[dict[str, Any]], Any] | None = None  # all inputs by name -> outputs
    extra: tuple[ExtraInput, ...] = ()  # what ``call`` takes behind the image

    def bound(self, options: Mapping[str, InputOption]) -> "Endpoint":
        """As an endpoint of the image alone, the other inputs being given as ``model.inputs`` says.

        Raises:
            ModelRefused: they cannot be.
        """
        bound = bind_inputs(self.inputs, options, str(self))
        call_named = self.call_named
        if call_named is None:
            raise ModelRefused(f"model.inputs: {self} was written by TF1, which takes the image alone here")

        def call(images: Any, *extra: Any) -> Any:
            return call_named(bound.named(images, extra))

        return Endpoint(self.name, {bound.image: self.inputs[bound.image]}, call, None, bound.extra)

    @property
    def takes_images(self) -> bool:
        """One tensor of numbers that may be ``[batch, height, width, channels]``."""
        if len(self.inputs) != 1:
            return False
        (spec,) = self.inputs.values()
        return (spec.dtype.is_floating or spec.dtype.is_integer) and spec.shape.rank in (None, 4)

    def __str__(self) -> str:
        specs = ", ".join(f"{name}: {spec.dtype.name} {spec.shape}" for name, spec in self.inputs.items())
        return f"{self.name}({specs})"


def load_savedmodel(path: Path, source: str, trust: bool, tags: list[str] | None = None) -> Any:
    """``tf.saved_model.load``, with the tags of the serving graph where a TF1 SavedModel has several.

    Args:
        trust: load it whatever its operations do; its initialisers run while it is loaded.

    Raises:
        ModelRefused: there is no SavedModel, TensorFlow cannot read it, or it may do more than compute.
    """
    if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise ModelRefused(
            f"{source} is not a model: no saved_model.pb in it, and its name does not end in .keras or .h5"
        )
    try:
        if not trust:
            refuse_code_in_savedmodel(path, source)
        return tf.saved_model.load(str(path), tags)
    except ModelRefused:
        raise
    except Exception as error:
        # Whatever goes wrong in a model file is said about the model file; TensorFlow raises a dozen types here.
        if tags is None and "tags" in str(error):
            return load_savedmodel(path, source, trust, ["serve"])
        raise ModelRefused(
            f"{source} cannot be loaded by TensorFlow {tf.__version__}: {type(error).__name__}: {error}"
        ) from error


def trace_endpoint(
    endpoint: Endpoint, input_size: str | tuple[int, int], keep_alive: object, only: str | None, notes: tuple[str, ...]
) -> TracedModel:
    """Trace a call of ``endpoint`` with a free batch size and a fixed image size.

    Args:
        only: the output to keep where the endpoint has it; all are kept otherwise.
    """
    (spec,) = endpoint.inputs.values()
    shape = (None,) * 4 if spec.shape.rank is None else tuple(spec.shape)
    signature, adapt, adapted = adapt_input(shape, spec.dtype, input_size)
    names: list[str] = []

    def scores(images: Any, *extra: Any) -> list[Any]:
        outputs = _named(endpoint.call(adapt(images), *extra))
        if only in outputs:
            outputs = {only: outputs[only]}
        names[:] = outputs
        return list(outputs.values())

    try:
        specs = [tf.TensorSpec([None, *one.shape], one.dtype, f"input_{i}") for i, one in enumerate(endpoint.extra)]
        function = tf.function(scores, autograph=False).get_concrete_function(signature, *specs)
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError, tf.errors.OpError) as error:
        raise ModelRefused(
            f"{endpoint} cannot be called with {signature.shape}: {error}. If the model was exported for one image "
            "size, say it as model.input_size: [height, width]"
        ) from error
    return TracedModel(function, tuple(names), {}, None, None, (*notes, *adapted), keep_alive, extra=endpoint.extra)


def endpoints_of(loaded: Any) -> dict[str, Endpoint]:
    """The signatures of a loaded model, and its own ``__call__`` in inference mode where it has one."""
    endpoints = {name: _signature(name, function) for name, function in loaded.signatures.items()}
    called = _call_of(loaded)
    return endpoints if called is None else {**endpoints, _CALL: called}


def choose_endpoint(
    endpoints: Mapping[str, Endpoint], wanted: str | None, source: str
) -> tuple[Endpoint, tuple[str, ...]]:
    """The endpoint called ``wanted``; else serving_default, the only signature that takes images, or ``__call__``.

    Raises:
        ModelRefused: there is no such endpoint, none takes images, or several do.
    """
    listed = "; ".join(str(endpoint) for endpoint in list(endpoints.values())[:_MANY]) or "none"
    if wanted is not None:
        if wanted not in endpoints:
            raise ModelRefused(f"{source} has no signature {wanted}: set model.signature to one of: {listed}")
        _refuse_other_than_images(endpoints[wanted], endpoints, source)
        return endpoints[wanted], ()
    usable = {name: endpoint for name, endpoint in endpoints.items() if endpoint.takes_images}
    if _DEFAULT in usable:
        return usable[_DEFAULT], ()
    signatures = [name for name in usable if name != _CALL]
    if len(signatures) > 1:
        raise ModelRefused(
            f"{source} has several signatures that take images: set model.signature to one of: {', '.join(signatures)}"
        )
    if not usable:
        if _DEFAULT in endpoints:
            _refuse_other_than_images(endpoints[_DEFAULT], endpoints, source)
        raise ModelRefused(
            f"{source} has no signature of one batch of images (it has: {listed}): export it with one, as "
            "tf.saved_model.save(model, path, signatures=function) or Keras' model.export(path)"
        )
    name = signatures[0] if signatures else _CALL
    notes = (
        (f"the signature {name} is explained: {endpoints[_DEFAULT]} takes no images",) if _DEFAULT in endpoints else ()
    )
    return usable[name], notes


def _call_of(loaded: Any) -> Endpoint | None:
    """The restored ``__call__``, as an endpoint with ``training=False``, or None."""
    restored = getattr(loaded, _CALL, None)
    found = [
        endpoint
        for concrete in getattr(restored, "concrete_functions", ())
        if (endpoint := _call_in_inference_mode(_CALL, restored, concrete)) is not None
    ]
    # A trace for images of any size is the better one, whatever else was traced.
    found.sort(key=lambda endpoint: sum(size is not None for spec in endpoint.inputs.values() for size in spec.shape))
    return next((endpoint for endpoint in found if endpoint.takes_images), found[0] if found else None)


def _signature(name: str, function: Any) -> Endpoint:
    inputs = dict(function.structured_input_signature[1])
    if len(inputs) == 1 and has_reference_variables(function):
        return Endpoint(name, inputs, ReferenceFunction(function))
    return Endpoint(
        name, inputs, lambda images: function(**dict.fromkeys(inputs, images)), lambda by_name: function(**by_name)
    )


def _call_in_inference_mode(name: str, restored: Any, concrete: Any) -> Endpoint | None:
    args, kwargs = concrete.structured_input_signature
    leaves = tf.nest.flatten((args, kwargs))
    tensors = {spec.name or f"input_{i}": spec for i, spec in enumerate(leaves) if isinstance(spec, tf.TypeSpec)}
    if not all(isinstance(spec, tf.TensorSpec) for spec in tensors.values()) or _trains(concrete):
        return None

    def call(by_name: dict[str, Any]) -> Any:
        values = iter([by_name[key] for key in tensors])
        given = [next(values) if isinstance(leaf, tf.TensorSpec) else leaf for leaf in leaves]
        call_args, call_kwargs = tf.nest.pack_sequence_as((args, kwargs), given)
        return restored(*call_args, **call_kwargs)

    return Endpoint(name, tensors, lambda images: call(dict.fromkeys(tensors, images)), call)


def _trains(concrete: Any) -> bool:
    """Whether a trace was made with ``training=True``."""
    parameters = concrete.function_type.parameters
    training = parameters.get("training")
    if training is None:
        return any(leaf is True for leaf in tf.nest.flatten(concrete.structured_input_signature))
    return bool(getattr(training.type_constraint, "value", False))


def _refuse_other_than_images(endpoint: Endpoint, endpoints: Mapping[str, Endpoint], source: str) -> None:
    if endpoint.takes_images:
        return
    others = [name for name, other in endpoints.items() if other.takes_images]
    remedy = (
        f"set model.signature to {' or '.join(others)}, which takes pixels"
        if others
        else "export the model with a signature of one batch of images, float32 [None, height, width, 3]: "
        "tf.saved_model.save(model, path, signatures=function)"
    )
    if any(spec.dtype == tf.string for spec in endpoint.inputs.values()):
        raise ModelRefused(
            f"{source}: {endpoint} takes encoded images or other strings, and there is no gradient through decoding: "
            f"{remedy}"
        )
    known = [] if others else [spec.shape for spec in endpoint.inputs.values() if spec.shape.rank is not None]
    pictures = [name for name, spec in endpoint.inputs.items() if spec.shape.rank == 4]
    if len(known) == len(endpoint.inputs) and (special := remedy_for([tuple(s) for s in known], [*endpoint.inputs])):
        remedy = special
    elif len(endpoint.inputs) > 1 and len(pictures) == 1:
        beside = ", ".join(f"{name}: COLUMN" for name in endpoint.inputs if name not in pictures)
        remedy = f"say where the others come from, model.inputs: {{{beside}}}, columns of the manifest; or {remedy}"
    raise ModelRefused(f"{source}: {endpoint} does not take one batch of images: {remedy}")


def _named(outputs: Any) -> dict[str, Any]:
    """Outputs of any structure by name."""
    if isinstance(outputs, Mapping):
        return {
            name if inner == "output_0" and len(named) == 1 else f"{name}/{inner}": tensor
            for name in sorted(outputs)
            for named in [_named(outputs[name])]
            for inner, tensor in named.items()
        }
    return {f"output_{index}": tensor for index, tensor in enumerate(tf.nest.flatten(outputs))}
