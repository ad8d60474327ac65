"""A gate before a model: what a test does to a job that stands at it cannot come too late, on however busy a machine.

As a script it is ``beam-gradcam`` with a gate: ``python gate.py FOLDER [arguments]``.
"""

import functools
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from waiting import wait_until


@dataclass(frozen=True)
class Gate:
    """Lets as many batches through as a test says; the others wait until it is opened.

    Who waits is in another process. So the gate is a folder: a batch takes one of its files, and where there is no
    folder the way is free.
    """

    folder: Path

    @classmethod
    def shut(cls, folder: Path) -> "Gate":
        folder.mkdir()
        return cls(folder)

    def let(self, batches: int) -> None:
        """Let so many more batches through."""
        for _ in range(batches):
            (self.folder / secrets.token_hex(8)).touch()

    def open(self) -> None:
        """Let everything through from now on."""
        if self.folder.exists():
            self.folder.rename(self.folder.with_name(f"{self.folder.name}-open"))  # at once, whoever looks into it

    def wait(self) -> None:
        """Wait for a file to take, and take it."""
        wait_until(self._take, seconds=600)

    def _take(self) -> bool:
        try:
            return any(_remove(file) for file in self.folder.iterdir())
        except FileNotFoundError:
            return True


def _remove(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:  # another batch took it
        return False
    return True


class GatedModel:
    """A model whose batches have to pass a gate."""

    def __init__(self, model, gate: Gate):
        self.card = model.card
        self._model = model
        self._gate = gate

    def explain(self, images, targets):
        self._gate.wait()
        return self._model.explain(images, targets)


def load_gated(gate: Gate, load, *arguments) -> GatedModel:
    return GatedModel(load(*arguments), gate)


def _main() -> None:
    from gate import Gate, load_gated  # by their module: workers cannot import from __main__

    import pipeline.cli
    import pipeline.job

    gate = Gate(Path(sys.argv[1]))
    pipeline.job.load_compiled = functools.partial(load_gated, gate, pipeline.job.load_compiled)
    sys.argv = ["beam-gradcam", *sys.argv[2:]]
    pipeline.cli.main()


if __name__ == "__main__":
    _main()
