"""What must be the same where a job is launched and where it runs: Python, Beam and this package's code."""

import functools
import hashlib
import importlib.metadata
import pathlib
import platform
from collections.abc import Mapping


class VersionsDiffer(RuntimeError):
    """The worker is another program than the launcher takes it for."""


@functools.cache
def versions_here() -> dict[str, str]:
    """Of this process. The code of the workers' side is named by a digest, since a version seldom changes with it."""
    root = pathlib.Path(__file__).parent
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "apache-beam": importlib.metadata.version("apache-beam"),
        "beam-gradcam": f"{importlib.metadata.version('beam-gradcam')} (code {digest.hexdigest()})",
    }


def check_versions(launcher: Mapping[str, str]) -> None:
    """Raises VersionsDiffer where this process has not the ``launcher``'s versions: pickles would break in odd ways."""
    here = versions_here()
    different = [f"{name} {here[name]}, the launcher has {version}" for name, version in launcher.items()
                 if here[name] != version]  # fmt: skip
    if different:
        raise VersionsDiffer(
            f"this worker ({platform.node()}) has {'; '.join(different)}. Install the launcher's wheel and versions on "
            "the workers, or build their image anew (configs/Dockerfile)"
        )
