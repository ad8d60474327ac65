"""``hub:HANDLE``: TF Hub modules, of TF2 and in the TF1 Hub format. Imports TensorFlow and TF Hub."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from transforms.model.errors import ModelRefused
from transforms.model.load.from_savedmodel.savedmodel import (
    choose_endpoint,
    endpoints_of,
    load_savedmodel,
    trace_endpoint,
)
from transforms.model.load.hub_library import import_hub
from transforms.model.load.model_files import local_model
from transforms.model.load.traced import TracedModel
from transforms.model.options import ModelOptions
from transforms.storage import Storage

# The common signatures of Hub's image modules, the one with scores first.
_TF1_SIGNATURES = ("image_classification", "default")
_OUTPUT = "default"  # the scores; further outputs of such modules are layers of the network


def load_hub_module(handle: str, options: ModelOptions, storage: Storage) -> TracedModel:
    """Load and trace a module: by its ``__call__(images, training=False)``, or by its signature in the TF1 format.

    Raises:
        ModelRefused: it cannot be found or loaded, or takes no images.
    """
    with _unpacked(handle, storage) as folder:
        is_tf1 = (folder / "tfhub_module.pb").is_file()
        loaded = load_savedmodel(folder, f"hub:{handle}", options.trust, [] if is_tf1 else None)
    endpoints = endpoints_of(loaded)
    wanted = options.signature
    if wanted is None:
        preferred = _TF1_SIGNATURES if is_tf1 else ("__call__",)
        wanted = next((name for name in preferred if name in endpoints and endpoints[name].takes_images), None)
    endpoint, notes = choose_endpoint(endpoints, wanted, f"hub:{handle}")
    return trace_endpoint(endpoint, options.input_size, loaded, _OUTPUT if options.output is None else None, notes)


@contextlib.contextmanager
def _unpacked(handle: str, storage: Storage) -> Iterator[Path]:
    if not handle.startswith(("http://", "https://")):
        with local_model(handle, storage) as path:
            yield path
        return
    try:
        folder = import_hub().resolve(handle)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelRefused(
            f"hub:{handle} cannot be downloaded ({type(error).__name__}: {error}): run where the network allows it, or "
            "unpack the module into a directory and say hub:DIRECTORY"
        ) from error
    yield Path(folder)
