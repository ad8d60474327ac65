"""The commands about the output of a job."""

from typing import Annotated

import typer

from pipeline.cli.endings import ended
from pipeline.cli.options import ConfigFile, Output, RunId
from pipeline.exit_codes import ExitCode
from pipeline.terminal import SafeConsole, say_result


def status(
    output: Output,
    run: RunId = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
    config: ConfigFile = None,
) -> None:
    """Show the runs of an output: how far each is, failures by kind, the last errors. Works from anywhere."""
    from pipeline.config import load_config

    def show() -> int:
        loaded = load_config(config)
        from pipeline.runs import print_status
        from transforms.storage import Storage

        storage = Storage(loaded.storage, timeout=loaded.input.timeout)
        print_status(storage.absolute(output), run, as_json, storage, SafeConsole())
        return ExitCode.DONE

    ended(show)


def report(output: Output, run: RunId = None, config: ConfigFile = None) -> None:
    """Make a page about a run: health, classes, galleries, clusters, correlates. Prints where it is."""
    from pipeline.audit import commands

    ended(lambda: commands.report(output, run, config))


def neighbours(
    output: Output,
    split: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The manifest's column of train, test ...; split if left out")
    ] = None,
    run: RunId = None,
    config: ConfigFile = None,
) -> None:
    """Find near duplicates, pairs across splits, labels that may be wrong and outliers, from a run's embeddings."""
    from pipeline.audit import commands

    ended(lambda: commands.neighbours(output, run, split, config))


def history(
    output: Output,
    last: Annotated[int, typer.Option(min=1, help="At most so many runs")] = 30,
    config: ConfigFile = None,
) -> None:
    """Make a page about the last runs: images, failures by kind, accuracy, drift, speed. Prints where it is."""
    from pipeline.config import load_config

    def write() -> int:
        loaded = load_config(config)
        from pipeline.history import write_history
        from transforms.storage import Storage

        storage = Storage(loaded.storage, timeout=loaded.input.timeout)
        say_result(write_history(storage.absolute(output), storage, last))
        return ExitCode.DONE

    ended(write)


def compare(
    before: Annotated[str, typer.Argument(help="A run: OUTPUT/runs/ID, path or URL")],
    after: Annotated[str, typer.Argument(help="Another run of the same images, also of another output")],
    config: ConfigFile = None,
) -> None:
    """Compare two runs image by image. Prints one JSON line; exit code 3 where a threshold of the config is passed."""
    from pipeline.audit import commands

    ended(lambda: commands.compare(before, after, config))


def render(
    output: Output,
    where: Annotated[str, typer.Option(help="SQL condition over the columns of the statistics table")] = "true",
    limit: Annotated[int, typer.Option(min=1, help="At most so many overlays")] = 100,
    order: Annotated[str, typer.Option(help="SQL to sort by before the limit, as 'border_lift DESC'")] = "image_id",
    run: RunId = None,
    config: ConfigFile = None,
) -> None:
    """Make overlays after the fact, from the stored maps and the original images. Prints where each is."""
    from pipeline.audit import commands

    ended(lambda: commands.render(output, run, where, order, limit, config))


def explore(
    output: Output,
    run: RunId = None,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="Another run beside it: an id of this output, or OUTPUT/runs/ID")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the page; a free one if left out")] = None,
    config: ConfigFile = None,
) -> None:
    """Look at a run in the browser: filter, sort, compare and tag its images. Prints the address; Ctrl-C ends it."""
    from pipeline.explore import commands

    ended(lambda: commands.explore(output, run, against, port, config))


def export(
    format_: Annotated[
        str, typer.Argument(metavar="FORMAT", help="manifest, csv, coco, yolo, fiftyone, lightly or cleanlab")
    ],
    output: Output,
    to: Annotated[str | None, typer.Option(metavar="FILE", help="Path or URL; in this folder if left out")] = None,
    where: Annotated[str, typer.Option(help="SQL condition over the columns of the statistics table")] = "true",
    tag: Annotated[str | None, typer.Option(help="Only images that have this tag")] = None,
    run: RunId = None,
    config: ConfigFile = None,
) -> None:
    """Write rows of a run as another program reads them. Prints where the file is."""
    from pipeline.explore import commands

    ended(lambda: commands.export(format_, output, to, run, where, tag, config))
