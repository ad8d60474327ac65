"""``beam-gradcam inspect``: what a model looks like to the explainer, for a person."""

from rich.console import Console
from rich.table import Table

from transforms.model import Inspection
from transforms.placement import WHOLE
from transforms.sampling import Sampling

_SHOWN = 12  # candidates from the end: the others are further from what the scores see


def print_inspection(inspection: Inspection, console: Console, every_candidate: bool = False) -> None:
    """The model's input, output and candidate target layers."""
    facts = Table(show_header=False, box=None, pad_edge=False)
    size = f"{inspection.input_height} x {inspection.input_width} pixels"
    facts.add_row("model", inspection.source)
    facts.add_row("input", f"{size}, {inspection.input_layout}, {inspection.input_dtype}")
    facts.add_row("preprocessing", _preprocessing(inspection.preprocessing))
    facts.add_row("photos", str(Sampling.of(inspection.preprocessing)))
    for name, shape in inspection.outputs.items():
        scores = "  <- scores" if name == inspection.score_output else ""
        facts.add_row("output", f"{name} {_shape(shape)}{scores}")
    peeled = "as they are" if inspection.activation == "none" else f"before the {inspection.activation}"
    facts.add_row("logits", f"{inspection.logits_tensor}, {peeled}")
    names = inspection.class_names
    facts.add_row("meaning", inspection.output_kind.replace("_", " "))
    facts.add_row(
        "values" if inspection.output_kind == "value" else "classes",
        f"{inspection.class_count}" + (f": {', '.join(names[:3])} ..." if names else ", no names"),
    )
    if inspection.seen != WHOLE:
        facts.add_row("covers", f"{_numbers(inspection.seen)} of the input (x0, y0, x1, y1 in 0..1)")
    facts.add_row("target layer", f"{inspection.target_layer}: {inspection.target_reason}")
    facts.add_row("grid", f"{inspection.target_height} x {inspection.target_width} cells")
    console.print(facts)
    console.print()
    console.print(_candidates(inspection, every_candidate))
    for note in inspection.notes:
        console.print(f"note: {note}")


def _candidates(inspection: Inspection, every_candidate: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("index", "target_layer", "grid", "channels", "work behind", "gradient"):
        name = title == "target_layer"
        table.add_column(title, justify="left" if name else "right", overflow="fold", no_wrap=not name)
    shown = inspection.candidates if every_candidate else inspection.candidates[-_SHOWN:]
    for candidate in shown:
        chosen = inspection.is_target(candidate)
        gradient = "none" if candidate.gradient is None else f"{candidate.gradient:.2g}"
        table.add_row(
            str(candidate.index),
            candidate.name + ("  <- target" if chosen else ""),
            f"{candidate.height} x {candidate.width}",
            str(candidate.channels),
            f"{candidate.share_behind:.1%}",
            gradient,
            style="bold" if chosen else None,
        )
    hidden = len(inspection.candidates) - len(shown)
    legend = [
        "work behind: share of the network's multiply-adds between the layer and the scores",
        "gradient: mean magnitude at the layer of the gradient of the scores, on made-up images",
    ]
    table.caption = "\n".join([*([f"{hidden} earlier candidates: --all"] if hidden else []), *legend])
    table.caption_justify = "left"
    return table


def _preprocessing(preprocessing: dict[str, object]) -> str:
    order = "BGR" if preprocessing["bgr"] else "RGB"
    scale, offset = (_numbers(preprocessing[key]) for key in ("scale", "offset"))
    depth = ", 16 bits" if preprocessing.get("bits") == 16 else ""
    return f"{preprocessing['name']}: pixels * {scale} + {offset}, {order}{depth}"


def _numbers(values: object) -> str:
    numbers = list(values) if isinstance(values, list | tuple) else [values]
    texts = [f"{number:.4g}" for number in numbers]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


def _shape(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return "of unknown shape"
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"
