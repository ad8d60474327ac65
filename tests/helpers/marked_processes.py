"""Processes of a test's own, known by a variable of their environment, which all their descendants have too."""

import os
import secrets
from pathlib import Path

_NAME = "PROCESSES_OF_A_TEST"


class Marked:
    """``environment`` marks what is started with it."""

    def __init__(self) -> None:
        self._entry = f"{_NAME}={secrets.token_hex(8)}"
        name, _, value = self._entry.partition("=")
        self.environment = {**os.environ, name: value}

    def pids(self, containing: str = "") -> list[int]:
        """Those that live, with a text in their command line; zombies have none."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # gone meanwhile, or somebody else's
                continue
            if self._entry.encode() in environment and command and containing in command:
                found.append(int(folder.name))
        return sorted(found)

    def loaders(self) -> list[int]:
        return self.pids("transforms.loaders.main")
