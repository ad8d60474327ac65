"""The faces of packages: what a package offers to others, imported when it is first asked for (PEP 562).

An ``__init__.py`` says what its package offers as any would, but under ``if TYPE_CHECKING:``, so that looking at a
package loads nothing: neither TensorFlow, nor Beam, nor pyarrow.

    if TYPE_CHECKING:
        from transforms.storage import Storage

    __all__ = ["Storage"]
    __getattr__ = lazy_face(__name__, __file__)
"""

import ast
import contextlib
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def lazy_face(package: str, file: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``, whose ``__init__.py`` is ``file``."""
    homes: dict[str, str] = {}

    def get(name: str) -> Any:
        if not homes:
            homes.update(_homes(file))
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        # What the package imports from itself is one of its modules.
        with _garbage_left():
            value = importlib.import_module(f"{package}.{name}" if home == package else home)
        if home != package:
            value = getattr(value, name)
        setattr(sys.modules[package], name, value)  # the next time it is found without asking
        return value

    return get


@contextlib.contextmanager
def _garbage_left() -> Iterator[None]:
    """Modules stay: to look for garbage among what they make, again and again, took 0.15 of a launcher's 1.05 s."""
    looks = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looks:
            gc.enable()


def _homes(file: str) -> dict[str, str]:
    """Name -> module, of the imports under ``if TYPE_CHECKING:``."""
    blocks = [node for node in ast.parse(Path(file).read_bytes()).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}
