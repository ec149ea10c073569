"""The entry point `tts`: the commands, and one clear line for whatever goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, cast

import typer

import tts
from tts.cli import check, demo, export, plan, replay, report, run, show, solve, strategies, watch
from tts.cli.help import Grouped
from tts.cli.swebench.commands import app as swebench
from tts.errors import TtsError, UsageError
from tts.report.text import line

CLICK_ERROR = typer.BadParameter.__mro__[2]
"""What typer raises on a command line that it cannot read; its name depends on typer's version."""

INTERRUPTED = 130

app = typer.Typer(
    name="tts",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `tts demo`, which needs no key and no network. `tts COMMAND --help` gives examples.",
)
COMMANDS = (
    demo.demo,
    run.run,
    solve.solve,
    check.check,
    show.show,
    watch.watch,
    replay.replay,
    plan.plan,
    report.report,
    export.export,
    strategies.strategies,
)
for command in COMMANDS:
    shape = Grouped if command in (run.run, solve.solve) else None
    app.command(cls=shape, epilog=sys.modules[command.__module__].EXAMPLES)(command)
app.add_typer(swebench)


def _version(asked: bool) -> None:
    if asked:
        print(f"tts {tts.__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Test-time scaling of AI agents: many attempts at a task, and strategies that select or refine them."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(call(sys.argv[1:]))


def call(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0, 1 (it failed), 2 (bad input), 130 (interrupted)."""
    try:
        code: object = typer.main.get_command(app).main(
            list(arguments), prog_name="tts", standalone_mode=False
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left; what is still buffered would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        print(f"error: {line(told[0], 2_000)}", file=sys.stderr)
        return told[1]
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> tuple[str, int] | None:
    """Return an error's line and exit code; None for a fault of our own, which keeps its traceback."""
    leaves = list(_leaves(error))
    for leaf in sorted(leaves, key=lambda e: not isinstance(e, UsageError)):
        if isinstance(leaf, CLICK_ERROR):
            return _bad_command_line(leaf), 2
        if isinstance(leaf, TtsError):
            return str(leaf), 2 if isinstance(leaf, UsageError) else 1
        if isinstance(leaf, OSError):
            place = f"{leaf.filename}: " if leaf.filename else ""
            return f"{place}{leaf.strerror or leaf}", 1
        if type(leaf).__module__ == "sqlite3":
            return f"the run's database: {leaf}", 1
    return None


def _bad_command_line(error: BaseException) -> str:
    told = str(error.format_message())  # type: ignore[attr-defined]  # pyright: ignore
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tts"
    return f"{told.rstrip()}; see `{path} --help`".replace(".;", ";")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast(tuple[BaseException, ...], error.exceptions):  # pyright: ignore[reportUnknownMemberType]
            yield from _leaves(inner)
    else:
        yield error


if __name__ == "__main__":
    main()
