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
        """New memory, all zeros; it takes room as it is written to.

        Raises:
            OSError: there is no shared memory, and the folder of temporary files is full.
        """
        try:
            fd = os.memfd_create("beam-gradcam", os.MFD_CLOEXEC)  # AttributeError: not on this system
            os.ftruncate(fd, size)
        except (AttributeError, OSError) as error:
            fd = _temporary_file(size, error)
        return cls(fd, size)

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
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and would be a signal at some pixel later
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.ftruncate(file.fileno(), size)
        return os.dup(file.fileno())
