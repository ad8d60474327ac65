"""TF Hub as a library, and the modules that a Keras file refers to."""

import warnings
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.runtime import import_tensorflow


def import_hub() -> Any:
    """Import tensorflow_hub without its warning on pkg_resources, which is pinned for it."""
    import_tensorflow()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import tensorflow_hub
    return tensorflow_hub


def refuse_missing_module(handle: str, source: str) -> None:
    """Refuse a Keras file with a ``hub.KerasLayer`` whose module, which lies outside of the file, is not there.

    Raises:
        ModelRefused: with the remedy.
    """
    tf = import_tensorflow()
    try:
        found = tf.io.gfile.isdir(import_hub().resolve(handle))
        cause = "there is no such directory"
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        found, cause = False, f"{type(error).__name__}: {error}"
    if not found:
        raise ModelRefused(
            f"{source} needs the TF Hub module {handle} ({cause}): put it there, or save the model where it was "
            "trained as a SavedModel, which holds the module too: model.save(DIRECTORY, save_format='tf')"
        )
