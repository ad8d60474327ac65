"""Memory that processes share and that has no name: the last process that ends, however it ends, takes it along."""

import logging
import mmap
import os
import tempfile

_log = logging.getLogger(__name__)


class SharedMemory:
    """``size`` bytes behind a file descriptor, which another process maps too once it has been sent there.

    On Linux a memfd: it needs no room in /dev/shm, which is 64 MB in many containers. Elsewhere, or where the kernel
    gives none, a temporary file without a name. Neither is left behind by a process that is killed.
    """

    def __init__(self, fd: int, size: int):
        self.fd = fd
        self.size = size
        self.buffer = mmap.mmap(fd, size)

    @classmethod
    def create(cls, size: int) -> "SharedMemory":
        """New memory, all zeros; its pages are there, so that a full memory is an error here and no signal later.

        Raises:
            OSError: neither the kernel nor the folder of temporary files has so much.
        """
        try:
            fd = os.memfd_create("beam-gradcam", os.MFD_CLOEXEC)  # AttributeError: not on this system
        except (AttributeError, OSError) as error:
            fd = _temporary_file(size, error)
        try:
            _reserve(fd, size)
            return cls(fd, size)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Give this process's share back; where arrays of it are still about, as soon as they are gone."""
        os.close(self.fd)
        try:
            self.buffer.close()
        except BufferError:  # the mapping goes with the last array
            return


def _temporary_file(size: int, error: Exception) -> int:
    folder = tempfile.gettempdir()
    _log.warning(
        "no shared memory (%s): %.0f MB of model inputs lie in a file without a name in %s, until the worker ends",
        error,
        size / 2**20,
        folder,
    )
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


def _reserve(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)
