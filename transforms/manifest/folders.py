"""Labels from folders: ``train/tabby/1.jpg`` shows a tabby."""

import dataclasses
import urllib.parse
from collections import Counter
from collections.abc import Collection

from transforms.records import ImageRef
from transforms.storage import uris

_MOST_FOLDERS = 20_000  # beyond it, folders are no classes
_SHARE = 0.9  # of the images must lie in folders that are called as a class


def folder_of(uri: str) -> str | None:
    """The name of the folder that an image lies in; None where it lies in none."""
    path = uris.split(uri)[1]
    if uris.scheme_of(uri) in ("http", "https"):
        path = urllib.parse.unquote(path.partition("?")[0])
    folder = path.rpartition("/")[0].rstrip("/").rpartition("/")[2]
    return folder.strip() or None


def labelled_by_folder(ref: ImageRef) -> ImageRef:
    """The same image with the name of its folder as label."""
    return dataclasses.replace(ref, label=folder_of(ref.uri), labels=None)


@dataclasses.dataclass
class FolderSurvey:
    """The folders of a manifest's images, by name, while they are few enough to be classes."""

    folders: Counter[str] = dataclasses.field(default_factory=Counter)

    def see(self, uri: str) -> None:
        if len(self.folders) <= _MOST_FOLDERS:
            self.folders[folder_of(uri) or ""] += 1

    def add(self, folders: Collection[tuple[str, int]]) -> None:
        """What was found elsewhere."""
        for name, count in folders:
            if len(self.folders) <= _MOST_FOLDERS:
                self.folders[name] += count

    @property
    def found(self) -> tuple[tuple[str, int], ...]:
        """Folder -> images, the largest first; empty where there are too many."""
        return () if len(self.folders) > _MOST_FOLDERS else tuple(self.folders.most_common())


def are_classes(folders: Collection[tuple[str, int]], names: Collection[str] | None) -> bool:
    """Whether folders, as (name, images), are called as classes: two at least, with nearly all of the images."""
    known = frozenset(names or ())
    count = sum(images for _, images in folders)
    within = [(name, images) for name, images in folders if name in known]
    return len(within) >= 2 and sum(images for _, images in within) >= _SHARE * count
