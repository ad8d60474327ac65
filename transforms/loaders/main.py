"""A loader process: ``python -m transforms.loaders.main CONNECTION MARK FETCHERS``, started by a worker process."""

import os
import signal
import socket
import sys

import cv2

from transforms.loaders.channel import LoaderEnd
from transforms.loaders.limits import end_with_parent
from transforms.loaders.mark import mark_behind
from transforms.loaders.serve import Loader
from transforms.machine import keep_freed_memory


def main(connection: int, mark: int, fetchers: int, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker process, whose end is the end of this one
    end_with_parent()
    if os.getppid() != parent:  # it ended just before
        return
    cv2.setNumThreads(1)
    keep_freed_memory()
    loader = Loader(LoaderEnd(socket.socket(fileno=connection)), mark_behind(mark), fetchers)
    try:
        loader.run()
    except (EOFError, BrokenPipeError):  # the worker process is gone, or wants no more loaders
        os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
