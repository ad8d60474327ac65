"""A plan -> what is written about it beside the compiled model. Imports TensorFlow."""

import dataclasses
import importlib.metadata

from transforms.model.explanation import ModelCard
from transforms.model.plan.fingerprint import fingerprint_of
from transforms.model.plan.plan import Plan


def card_of(plan: Plan, source_digest: str, notes: tuple[str, ...] = ()) -> ModelCard:
    """The card of a plan; ``notes`` are those of its compilation."""
    options = plan.options
    return ModelCard(
        fingerprint=fingerprint_of(plan),
        source=options.source,
        source_digest=source_digest,
        input_height=plan.input_height,
        input_width=plan.input_width,
        class_count=plan.scores.class_count,
        class_names=plan.class_names,
        target_layer=plan.target.name,
        target_tensor=plan.target.tensor,
        cam_height=plan.grid[0],
        cam_width=plan.grid[1],
        method=options.method,
        score=options.score,
        activation=plan.scores.activation,
        preprocessing=dataclasses.asdict(plan.preprocessing) | plan.sampling.as_fields(),
        notes=(*plan.notes, *notes),
        output_kind=plan.scores.kind,
        thresholds=plan.thresholds,
        inputs=plan.extra,
        seen=plan.seen,
        embedding=plan.embedding_size,
        precision=options.precision,
        contrast=plan.contrast,
        fused=tuple(layer.name for layer in (*plan.earlier, plan.target)) if plan.earlier else (),
        fusion=options.fusion,
        versions={name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    )
