"""``package.module:function``: a model that the user's own code builds. No TensorFlow of its own."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from transforms.model.errors import ModelRefused


def call_factory(source: str) -> Any:
    """What the function named ``package.module:function`` returns; called without arguments.

    Raises:
        ModelRefused: it cannot be imported, or it fails.
    """
    module_name, _, function_name = source.partition(":")
    with importable_working_directory():
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise ModelRefused(
                f"model.source {source}: {module_name} cannot be imported ({error}); it must lie in the working "
                "directory, on PYTHONPATH, or be installed"
            ) from error
        factory = getattr(module, function_name, None)
        if not callable(factory):
            functions = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
            raise ModelRefused(
                f"model.source {source}: {module_name} has no function {function_name}; it has "
                f"{', '.join(functions) or 'none'}"
            )
        try:
            return factory()
        except Exception as error:
            raise ModelRefused(f"model.source {source}() failed: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def importable_working_directory() -> Iterator[None]:
    """Modules of the working directory can be imported, as with ``python -m``; a console script leaves it out."""
    folder = os.getcwd()
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
