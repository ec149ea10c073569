"""The commands of `tts swebench`."""

from __future__ import annotations

import sys

import typer

from tts.cli import importing
from tts.cli.help import Grouped
from tts.cli.swebench import evaluate, run

app = typer.Typer(
    name="swebench",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
COMMANDS = (("run", run.run), ("eval", evaluate.evaluate), ("import", importing.import_))
for name, command in COMMANDS:
    app.command(name, cls=Grouped, epilog=sys.modules[command.__module__].EXAMPLES)(command)


@app.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """SWE-bench, and data sets of its form: run strategies, grade what they chose, import attempts."""
    if context.invoked_subcommand is None:
        print(context.get_help())
