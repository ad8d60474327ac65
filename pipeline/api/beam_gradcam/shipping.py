"""How a model reaches the workers of a pipeline."""

import dataclasses
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from beam_gradcam.model import Model, open_model
from beam_gradcam.settings import model_options
from transforms.errors import UserError
from transforms.model import GradCamModel, ModelOptions, compile_live, compile_model, load_compiled
from transforms.storage import Storage, uris

_LARGEST_CARGO = 256 << 20  # bytes; the graph travels in one message

_loaded: dict[str, GradCamModel] = {}
_loading = threading.Lock()


@dataclasses.dataclass(frozen=True)
class FromSource:
    """Each worker process opens the source itself."""

    options: ModelOptions
    storage: Storage

    @property
    def key(self) -> str:
        return repr((self.options, self.storage))

    def load(self, batch_size: int) -> GradCamModel:
        with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as folder:
            card = compile_model(self.options, folder, self.storage)
            return load_compiled(uris.join(folder, card.fingerprint), self.storage, batch_size)


@dataclasses.dataclass(frozen=True)
class FromFolder:
    """Compiled already, at a place that the workers reach."""

    folder: str
    storage: Storage

    @property
    def key(self) -> str:
        return repr((self.folder, self.storage))

    def load(self, batch_size: int) -> GradCamModel:
        return load_compiled(self.folder, self.storage, batch_size)


@dataclasses.dataclass(frozen=True)
class FromCargo:
    """Compiled already; its files travel with the graph."""

    fingerprint: str
    files: Mapping[str, bytes]  # by their names in the folder

    @property
    def key(self) -> str:
        return self.fingerprint

    def load(self, batch_size: int) -> GradCamModel:
        with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as folder:
            for name, content in self.files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return load_compiled(folder, Storage(), batch_size)


ShippedModel: TypeAlias = FromSource | FromFolder | FromCargo


def ship(model: Any, models: str | None, storage: Storage, options: Mapping[str, Any]) -> ShippedModel:
    """What a worker needs to load a model.

    Args:
        model: a source, an opened :class:`beam_gradcam.Model`, or a live model.
        models: URI of a folder that launcher and workers reach, or None.

    Raises:
        UserError: an unknown option, a model that cannot be used, or one too large to travel with the graph.
    """
    if isinstance(model, str):
        chosen = model_options(model, options)
        if models is None:
            return FromSource(chosen, storage)
        folder = storage.absolute(models)
        return FromFolder(uris.join(folder, compile_model(chosen, folder, storage).fingerprint), storage)
    if isinstance(model, Model):
        if options:
            raise UserError(f"{', '.join(options)}: the model is open already; give the options to open_model")
        return _cargo(model.folder, model.card.fingerprint, storage)
    if models is not None:
        folder = storage.absolute(models)
        card = compile_live(model, model_options(type(model).__name__, options), folder, storage)
        return FromFolder(uris.join(folder, card.fingerprint), storage)
    opened = open_model(model, **options)
    return _cargo(opened.folder, opened.card.fingerprint, storage)


def load_shipped(model: ShippedModel, batch_size: int) -> GradCamModel:
    """The model, loaded once per process."""
    with _loading:
        if model.key not in _loaded:
            _loaded[model.key] = model.load(batch_size)
        return _loaded[model.key]


def _cargo(folder: str, fingerprint: str, storage: Storage) -> FromCargo:
    files = {uri.removeprefix(f"{folder}/"): storage.read(uri) for uri in storage.walk(folder)}
    size = sum(map(len, files.values()))
    if size > _LARGEST_CARGO:
        raise UserError(
            f"the compiled model has {size >> 20} MiB, too much to travel with the graph (at most "
            f"{_LARGEST_CARGO >> 20}); name a folder in models= that launcher and workers reach"
        )
    return FromCargo(fingerprint, files)
