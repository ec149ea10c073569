"""`tts check`: which keys are set, and which models and servers answer, before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tts.cli.options import BaseUrls, Json

if TYPE_CHECKING:
    from tts.models.checking import Checked, KeySet

EXAMPLES = """\b
Examples:
  tts check                              which providers' keys are set
  tts check --model openai/gpt-5 --judge anthropic/claude-sonnet-4-5
  tts check --model openai/qwen3 --base-url http://localhost:8000/v1 --ask

\b
The exit code is 0 when all that was named can be used, else 1. A key is never shown, in part or in full.
"""

NAME = "PROVIDER/NAME"


def check(
    model: Annotated[
        list[str] | None, typer.Option(metavar=NAME, help="A model to try. Repeat it for more.")
    ] = None,
    judge: Annotated[str, typer.Option(metavar=NAME, help="The judge's model.")] = "",
    summarizer: Annotated[str, typer.Option(metavar=NAME, help="The summarizer's model.")] = "",
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask each for an answer of a few tokens too, which is paid for.")
    ] = False,
    base_url: BaseUrls = None,
    as_json: Json = False,
) -> None:
    """Say which keys are set, and which models and servers answer.

    It costs nothing without --ask: servers are asked for their lists of models.
    """
    import sys

    import anyio

    from tts.cli.console import as_json as json_text
    from tts.cli.console import show
    from tts.cli.models import voices_of
    from tts.models import checking

    names = {"model": model or [], "judge": [judge] * bool(judge)}
    names["summarizer"] = [summarizer] * bool(summarizer)
    voices = voices_of(names, base_url=base_url or ())
    found = anyio.run(lambda: checking.check(voices.models, ask=ask))
    keys = [] if found else checking.keys()
    if as_json:
        sys.stdout.write(json_text(document(keys, found)))
    else:
        show(*map(_line, told(keys, found)))
    if not all(checked.fine for checked in found):
        raise typer.Exit(1)


def document(keys: Sequence[KeySet], found: Sequence[Checked]) -> dict[str, Any]:
    """Return what was found as plain values; the keys of all providers where no model was named."""
    from dataclasses import asdict

    models = [{**asdict(checked), "fine": checked.fine} for checked in found]
    return {"keys": [asdict(key) for key in keys], "models": models}


def told(keys: Sequence[KeySet], found: Sequence[Checked]) -> Iterator[str]:
    """Yield what was found as lines."""
    for key in keys:
        yield f"{key.provider:<10} {_key(key)}"
    if keys:
        yield ""
        yield "Name models to try them: tts check --model openai/gpt-5"
    for checked in found:
        yield f"{checked.name} ({checked.role})"
        for head, said in _about(checked):
            yield f"  {head:<7} {said}"


def _about(checked: Checked) -> Iterator[tuple[str, str]]:
    from tts.report import text

    needless = checked.has_key and not checked.key.variable and bool(checked.key.variables)
    yield "key", _key(checked.key) + "; a server of your own may need none" * needless
    yield "server", _server(checked)
    if checked.input_usd is None:
        yield "price", f"not known; tts run --price {checked.name}=IN,OUT gives it"
    else:
        both = f"{text.usd(checked.input_usd)} in, {text.usd(checked.output_usd)} out"
        yield "price", f"{both} per million tokens"
    if checked.answered is not None:
        yield "asked", _asked(checked.answered)


def _server(checked: Checked) -> str:
    at = f" at {checked.base_url}" if checked.base_url else ""
    if not checked.serves:
        return f"NO: {checked.error}"
    if checked.verified:
        return f"answers{at}, and has the model"
    return f"can be reached{at}, but has no list of models: --ask tells more (is /v1 in the base URL?)"


def _asked(answered: Any) -> str:
    from tts.report import text

    if answered.error:
        return f"NO: {answered.error}"
    spent = f"{text.plural(answered.usage.tokens, 'token')}, {text.usd(answered.usage.usd)}"
    return f"answered in {text.seconds(answered.seconds)} ({spent})"


def _key(key: KeySet) -> str:
    if not key.variables:
        return "has its cloud's own credentials"
    return f"{key.variable} is set" if key.variable else f"{' or '.join(key.variables)} is not set"


def _line(said: str) -> Any:
    from rich.text import Text

    from tts.report.text import clean

    return Text(clean(said), style="red" if "NO: " in said else "")
