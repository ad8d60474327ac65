"""The loader processes of this worker process, shared by all its shards: from the first who takes them to the last."""

import threading

from transforms.loaders.pool import LoaderPool

_lock = threading.Lock()
_users: dict[LoaderPool, int] = {}


def take_loaders(count: int) -> LoaderPool | None:
    """``count`` loader processes, until :func:`give_back_loaders`; None where the count is 0."""
    if not count:
        return None
    with _lock:
        pool = next((pool for pool in _users if pool.count == count), None) or LoaderPool(count)
        _users[pool] = _users.get(pool, 0) + 1
        return pool


def give_back_loaders(pool: LoaderPool) -> None:
    """The last of those who took them ends them."""
    with _lock:
        _users[pool] -= 1
        if not _users[pool]:
            del _users[pool]
            pool.close()
