"""A manifest of many files: a folder or a glob of Parquet, CSV or JSON lines, as Spark and others write them."""

from collections import Counter

from transforms.manifest.formats import format_of, format_of_name
from transforms.manifest.listing import OUTPUTS, is_image, without_outputs
from transforms.manifest.manifest import CONTAINERS, Manifest, ManifestError
from transforms.storage import Storage, uris

_OF_MANY = ("csv", "tsv", "jsonl", "parquet", "txt", *CONTAINERS)


def files_of(manifest: Manifest, storage: Storage, passed_over: Counter[str]) -> list[str] | None:
    """The files of a manifest of many files, in order; None where it is one file, or a listing of images.

    A folder is one where it has no image and some such file; a glob where its pattern ends as such a file's name does,
    or ``input.format`` says what all of them are.

    Raises:
        ManifestError: a folder or glob of files of which none is there.
    """
    kind = format_of(manifest, storage)
    if kind in CONTAINERS and storage.exists(manifest.uri) and not storage.is_directory(manifest.uri):
        return [manifest.uri]
    if kind == "directory" or (kind in _OF_MANY and storage.is_directory(manifest.uri)):
        return _files_below(manifest, storage, kind, passed_over)
    ending = format_of_name(manifest.uri)
    has_pattern = any(character in manifest.uri for character in "*?[")
    if (kind == "glob" and manifest.format == "auto" and ending in _OF_MANY) or (
        kind in _OF_MANY and has_pattern and not storage.exists(manifest.uri)
    ):
        found = without_outputs(storage.glob(manifest.uri), manifest, passed_over)
        files = [uri for uri in found if not _is_hidden(uri)]
        if not files:
            raise ManifestError(f"{manifest.shown}: no file matches; check input.manifest")
        return _known(files, manifest)
    return None


def kind_of_file(uri: str, manifest: Manifest) -> str | None:
    """The format of one of the files: what its name says, else what the config says of all."""
    return format_of_name(uri) or (manifest.format if manifest.format in _OF_MANY else None)


def _files_below(manifest: Manifest, storage: Storage, kind: str, passed_over: Counter[str]) -> list[str] | None:
    files, others = [], Counter[str]()
    for uri in without_outputs(storage.walk(manifest.uri, follow_links=True), manifest, others):
        if is_image(uri) and kind == "directory":
            return None
        suffix = format_of_name(uri)
        if suffix in _OF_MANY and suffix != "txt" and not _is_hidden(uri):
            files.append(uri)
        else:
            others[uri.rpartition(".")[2].rpartition("/")[2]] += 1
    if not files or (manifest.format == "directory"):
        return None
    passed_over.update({name if name == OUTPUTS else f".{name}": count for name, count in others.items()})
    return _known(files, manifest)


def _known(files: list[str], manifest: Manifest) -> list[str]:
    if manifest.format in _OF_MANY:
        return files
    strange = next((uri for uri in files if format_of_name(uri) is None), None)
    if strange is not None:
        raise ManifestError(
            f"{manifest.shown}: {strange} is called as no kind of manifest is; name the files .parquet, .csv, .tsv, "
            ".jsonl or .txt, each also with .gz, .tar, .zip or .tfrecord"
        )
    return files


def _is_hidden(uri: str) -> bool:
    """``_SUCCESS``, ``_metadata`` and ``.crc`` files of Spark and Hadoop."""
    name = uris.split(uri)[1].rpartition("/")[2]
    return name.startswith(("_", "."))
