"""A few lines of a manifest, the same ones whatever its order: those whose URIs have the lowest digests."""

import hashlib
import heapq

from transforms.manifest.formats import Line


class Sample:
    """A bottom-k sketch: a manifest that grows a little keeps most of its sample."""

    def __init__(self, size: int):
        self._size = size
        self._heap: list[tuple[int, str, int, Line]] = []  # the highest digest first, as a negative number
        self._uris: set[str] = set()

    def see(self, uri: str, number: int, line: Line) -> None:
        """Take note of a line."""
        if not self._size:
            return
        digest = int.from_bytes(hashlib.blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        full = len(self._heap) >= self._size
        if (full and -digest <= self._heap[0][0]) or uri in self._uris:
            return
        self._uris.add(uri)
        if full:
            self._uris.remove(heapq.heapreplace(self._heap, (-digest, uri, number, line))[1])
        else:
            heapq.heappush(self._heap, (-digest, uri, number, line))

    def lines(self) -> list[tuple[int, Line]]:
        """The sampled lines with their numbers, by digest."""
        return [(number, line) for _, _, number, line in sorted(self._heap, key=lambda entry: -entry[0])]
