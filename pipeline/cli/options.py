"""Arguments and options that several commands have."""

from typing import Annotated

import typer

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as input.limit=100")
]
Model = Annotated[str, typer.Argument(help="what model.source would say: a file, keras:NAME, hub:HANDLE ...")]
Output = Annotated[str, typer.Argument(help="The output of a job: the folder with runs/ in it, path or URL")]
RunId = Annotated[str | None, typer.Option("--run", metavar="ID", help="Which run; the newest one if left out")]
ConfigFile = Annotated[
    str | None, typer.Option("--config", help="YAML file with storage options, audit.regions and compare thresholds")
]
