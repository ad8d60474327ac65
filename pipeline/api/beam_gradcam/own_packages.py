"""Whether ``pipeline`` and ``transforms`` are this distribution's own: common names, and whoever comes first wins."""

import importlib.util
from pathlib import Path

# A file that no other package of the name has.
_OWN = {"pipeline": "exit_codes.py", "transforms": "faces.py"}


class ForeignPackageError(ImportError):
    """Another package of the same name comes first on ``sys.path``. The message says where it is."""


def check_packages() -> None:
    """Raises ForeignPackageError where another package would be imported in place of one of ours."""
    for name, file in _OWN.items():
        found = importlib.util.find_spec(name)
        folders = [] if found is None else [Path(folder) for folder in found.submodule_search_locations or ()]
        if not any((folder / file).is_file() for folder in folders):
            where = "nowhere" if found is None else str(found.origin or (folders[0] if folders else found.loader))
            raise ForeignPackageError(
                f"beam-gradcam needs its own package {name}, but the one that Python finds first is {where}. "
                "Start from another folder, or take that one off PYTHONPATH, or give it another name",
                name=name,
                path=where,
            )
