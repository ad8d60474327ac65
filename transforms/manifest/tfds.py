"""Data sets as TensorFlow Datasets prepares them: TFRecord files, beside which the names of the classes stand."""

from collections.abc import Iterable

from transforms.manifest.manifest import Manifest, ManifestError
from transforms.storage import Storage, uris

_MOST_BYTES = 1 << 24


def tfds_names(files: Iterable[str], manifest: Manifest, storage: Storage) -> tuple[str, ...]:
    """What the classes of the label column are called: the lines of ``label.labels.txt`` beside the files.

    Empty where there is no such file, or where those of several folders do not say the same.

    Raises:
        ManifestError: the file is there, and is no UTF-8.
    """
    if manifest.label_column is None:
        return ()
    name = f"{manifest.label_column.replace('/', '-')}.labels.txt"
    found = {_names_in(folder, name, storage) for folder in dict.fromkeys(map(_folder_of, files))}
    return found.pop() if len(found) == 1 else ()


def _names_in(folder: str, name: str, storage: Storage) -> tuple[str, ...]:
    uri = storage.join(folder, name)
    try:
        with storage.open(uri) as file:
            lines = file.read(_MOST_BYTES).decode().splitlines()
    except (FileNotFoundError, PermissionError):  # stores say 403 of what is not there to who may not list
        return ()
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{storage.redact(uri)}: the names of the classes are not UTF-8 ({error}); save them as UTF-8, or rename "
            "the file if it is another thing"
        ) from None
    return tuple(line.strip() for line in lines if line.strip())


def _folder_of(uri: str) -> str:
    before, path, after = uris.split(uri)
    return f"{before}{path.rpartition('/')[0]}{after}"
