"""A few lines of a manifest, the same ones whatever its order: those whose URIs have the lowest digests."""

import hashlib
import heapq
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Sample(Generic[Entry]):
    """A bottom-k sketch: a manifest that grows a little keeps most of its sample."""

    def __init__(self, size: int):
        self._size = size
        self._heap: list[tuple[int, str, int, Entry]] = []  # the highest digest first, as a negative number
        self._uris: set[str] = set()

    def see(self, uri: str, number: int, entry: Entry) -> None:
        """Take note of a line; no two have the same URI and number."""
        if not self._size:
            return
        digest = int.from_bytes(hashlib.blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        full = len(self._heap) >= self._size
        if (full and -digest <= self._heap[0][0]) or uri in self._uris:
            return
        self._uris.add(uri)
        if full:
            self._uris.remove(heapq.heapreplace(self._heap, (-digest, uri, number, entry))[1])
        else:
            heapq.heappush(self._heap, (-digest, uri, number, entry))

    def lines(self) -> list[tuple[int, Entry]]:
        """The sampled lines with their numbers, by digest."""
        return [(number, entry) for _, _, number, entry in sorted(self._heap, key=lambda kept: -kept[0])]
