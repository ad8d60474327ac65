"""The loader processes of this worker process, shared by all its shards: started at the first use, ended after the last."""

import threading

from transforms.loaders.pool import LoaderPool

_lock = threading.Lock()
_pools: dict[int, LoaderPool] = {}  # by the number of their loaders
_users: dict[int, int] = {}


def take_loaders(count: int) -> LoaderPool:
    """``count`` loader processes, until :func:`give_back_loaders`."""
    with _lock:
        if count not in _pools:
            _pools[count] = LoaderPool(count)
        _users[count] = _users.get(count, 0) + 1
        return _pools[count]


def give_back_loaders(count: int) -> None:
    """The last of those who took them ends them."""
    with _lock:
        _users[count] -= 1
        if not _users[count]:
            _pools.pop(count).close()
