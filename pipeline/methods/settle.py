"""``explain.method: auto`` -> a method: what was found about this model, or is found now, once for all nights."""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.config import Config
from pipeline.methods.answer import MethodAnswer, keep_answer, measured_answer, plain_answer, read_answer, uri_of
from transforms.model import NO_MODEL, IncomparableMethods
from transforms.storage import Storage

IMAGES = 64
SECONDS = 900.0
"""At most, roughly: where the model is slow, fewer images are asked about."""


class Settled(NamedTuple):
    """A config that names its method, and what is to be said of it."""

    config: Config
    notes: tuple[str, ...] = ()


def settle_method(config: Config, storage: Storage, say: Callable[[str], None], measure: bool = True) -> Settled:
    """The config with a method in place of ``auto``; as it is where it names one.

    The answer lies in the output, under the digest of the model: it stays the same from night to night, and with it the
    fingerprint, until the model changes or ``beam-gradcam methods --save`` writes another.

    Args:
        measure: False: where there is no answer yet, take Grad-CAM and say so, as for an estimate.

    Raises:
        ModelRefused, ManifestError, ConfigError: the model or the manifest cannot be used.
    """
    if config.explain.method != "auto":
        return Settled(config)
    if config.model.source == NO_MODEL:
        return _settled(config, plain_answer("there is no model"))
    uri = uri_of(config, storage)
    answer = read_answer(uri, storage)
    if answer is not None:
        return _settled(config, answer, uri)
    if not measure:
        return _settled(config, plain_answer("nothing is measured for an estimate; the run itself will measure"))
    from pipeline.methods.command import compare_methods  # TensorFlow, which a night with an answer does not need

    say(f"explain.method: auto: measuring the methods on up to {IMAGES} images, once for this model")
    try:
        table = compare_methods(config, IMAGES, say, SECONDS)
    except IncomparableMethods as error:
        answer = plain_answer(str(error))
    else:
        answer = measured_answer(table, config, storage)
    keep_answer(answer, uri, storage)
    return _settled(config, answer, uri)


def _settled(config: Config, answer: MethodAnswer, uri: str | None = None) -> Settled:
    warning = "" if answer.is_recommended else "WARNING: "
    kept = f" ({uri})" if uri else ""
    return Settled(answer.applied(config), (f"{warning}{answer.said}{kept}",))


def with_plain_method(config: Config) -> Config:
    """With Grad-CAM in place of ``auto``, for what does not depend on the method."""
    return plain_answer("").applied(config) if config.explain.method == "auto" else config
