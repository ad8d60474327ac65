"""What one loader may take of its machine."""

import ctypes
import resource
import signal
import sys

from transforms.explain import ExplainSettings
from transforms.images import most_bytes_of
from transforms.overlays import OverlaySettings

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_FOR_THREADS = 1 << 31  # bytes of addresses: stacks and arenas that threads reserve and never fill
_ENCODED = 4  # encoded images of the largest size at a time; of usual ones, some hundred


def memory_of(settings: ExplainSettings, photos: int) -> int:
    """Bytes that a shard may take in one loader: a decode of the largest picture, and the photos that wait for maps."""
    limits = settings.limits
    side = (settings.overlays or OverlaySettings()).max_side
    photo = 3 * (2 * side) ** 2  # one is shrunk by whole numbers before it is shrunk for good
    return most_bytes_of(limits) + _ENCODED * limits.max_bytes + photos * photo


def limit_memory(more: int) -> None:
    """Let this process have ``more`` bytes beside what it has: beyond, allocations fail, and the picture is a row.

    Only where the kernel counts addresses and says how many there are: on Linux.
    """
    if sys.platform != "linux":
        return
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + _FOR_THREADS + more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def end_with_parent() -> None:
    """End when the thread that has started this process does, whatever hangs here; and leave no core file behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
