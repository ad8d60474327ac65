"""What ``beam-gradcam methods`` found about a model, kept in the output for ``explain.method: auto``."""

import dataclasses
import json
from typing import Any

from pipeline.config import Config
from pipeline.methods.show import as_json
from transforms.model import Fusion, digest_source
from transforms.model.trust import MethodTable, TrustRow, recommend
from transforms.storage import Storage, decode_state, read_state
from transforms.table import OutputLayout

_WHAT, _REMEDY = "what methods found", "remove it: it is measured anew, or say a method in explain.method"


@dataclasses.dataclass(frozen=True)
class MethodAnswer:
    """Which method on which layers, and what it was measured on."""

    method: str
    layers: int  # that are fused
    fusion: Fusion
    target_layer: str | int | None  # another layer than that of the config; None: that
    is_recommended: bool  # False: none is better than the baselines, or nothing could be measured
    reasons: tuple[str, ...]
    manifest: str
    images: int
    table: dict[str, Any]  # every row, for a person

    @property
    def said(self) -> str:
        """For a person, in a line."""
        fused = f", {self.fusion} of {self.layers} layers" if self.layers > 1 else ""
        where = "" if self.target_layer is None else f" at {self.target_layer}"
        measured = f"measured on {self.images} images of {self.manifest}; " if self.images else ""
        return f"explain.method: auto is {self.method}{where}{fused}: {measured}{'; '.join(self.reasons)}"

    def applied(self, config: Config) -> Config:
        """The config with what was found in place of ``auto``."""
        chosen = {"method": self.method, "layers": self.layers, "fusion": self.fusion}
        layer = {} if self.target_layer is None else {"target_layer": self.target_layer}
        return config.model_copy(
            update={
                "explain": config.explain.model_copy(update=chosen),
                "model": config.model.model_copy(update=layer),
            }
        )


def plain_answer(why: str) -> MethodAnswer:
    """Grad-CAM on the layer of the config, for what cannot be measured."""
    return MethodAnswer("gradcam", 1, "product", None, False, (why,), "", 0, {})


def measured_answer(table: MethodTable, config: Config, storage: Storage) -> MethodAnswer:
    """What a table comes to that was measured on the config's manifest.

    Where it recommends nothing: ``gradcam`` on the target layer, and why not more.
    """
    advice = recommend(table)
    chosen = MethodAnswer(
        method="gradcam",
        layers=1,
        fusion="product",
        target_layer=None,
        is_recommended=advice.row is not None,
        reasons=advice.reasons,
        manifest=storage.redact(config.input.manifest),
        images=table.images,
        table=as_json(table, advice),
    )
    return chosen if advice.row is None else dataclasses.replace(chosen, **_settings(table.rows[advice.row], table))


def _settings(row: TrustRow, table: MethodTable) -> dict[str, Any]:
    if row.fusion:
        return {"method": row.method, "layers": len(table.layers), "fusion": row.fusion}
    is_target = row.layer == table.layers[-1]
    return {"method": row.method, "target_layer": None if is_target else table.places[table.layers.index(row.layer)]}


def uri_of(config: Config, storage: Storage) -> str:
    """Where the answer for a config's model lies: the same for the same bytes and options, whatever the method."""
    options = dataclasses.replace(
        config.model_options,
        method="gradcam",
        layers=1,
        fusion="product",
        contrast=None,
        labels="none",
        precision="float32",
    )
    digest = digest_source(options, storage)
    return OutputLayout(storage.absolute(config.output.path)).methods(digest)


def read_answer(uri: str, storage: Storage) -> MethodAnswer | None:
    """None where there is none.

    Raises:
        StateError: the file is something else.
    """
    if not storage.exists(uri):
        return None
    return decode_state(MethodAnswer, read_state(uri, storage), uri, _WHAT, _REMEDY)


def keep_answer(answer: MethodAnswer, uri: str, storage: Storage) -> None:
    storage.put(uri, json.dumps(dataclasses.asdict(answer), indent=2).encode())


def keep_table(table: MethodTable, config: Config) -> str:
    """Keep what a table comes to in the config's output; returns where that is and what it says, for a person."""
    storage = Storage(config.storage)
    answer, uri = measured_answer(table, config, storage), uri_of(config, storage)
    keep_answer(answer, uri, storage)
    return f"{uri}: {answer.said}"
