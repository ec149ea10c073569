"""The provider as a command: `python -m tts.testing.provider` serves until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, cast, get_args

from tts.testing.provider import Asked, Kind, ModelServer, Says, Script, default_script, faulty


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tts.testing.provider", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=0, help="port to listen on (default: a free one)")
    add(
        "--script",
        metavar="MODULE:FUNCTION",
        help="what answers (default: a sentence, or JSON)",
    )
    add("--model", action="append", metavar="NAME", help="a model it knows (default: any); may be repeated")
    add("--key", action="append", help="an API key it takes (default: any); may be repeated")
    add("--thinking-tokens", type=int, metavar="N", help="tokens of thinking before each answer")
    add("--seconds-to-first", type=float, metavar="S", help="seconds before the first token")
    add("--seconds-per-token", type=float, metavar="S", help="seconds between tokens")
    add("--fault-rate", type=float, default=0.0, metavar="SHARE", help="share of requests that fail")
    add(
        "--fault",
        action="append",
        choices=get_args(Kind),
        help="how they fail (default: 429)",
    )
    add("--seed", type=int, default=0, help="which requests fail")
    add("--no-n", action="store_true", help="answer once, whatever n is")
    add("--no-schemas", action="store_true", help="refuse response schemas")
    return parser.parse_args(given)


def _script(chosen: argparse.Namespace) -> Script:
    script = _loaded(chosen.script) if chosen.script else default_script
    names = ("thinking_tokens", "seconds_to_first", "seconds_per_token")
    pace = {name: getattr(chosen, name) for name in names}
    paced = _paced(script, {name: value for name, value in pace.items() if value is not None})
    return faulty(paced, chosen.fault_rate, chosen.fault or ["429"], seed=chosen.seed)


def _paced(script: Script, pace: dict[str, Any]) -> Script:
    def answer(asked: Asked) -> Any:
        said = script(asked)
        return replace(said, **pace) if isinstance(said, Says) else said

    return answer


def _loaded(name: str) -> Script:
    module, _, function = name.partition(":")
    return cast("Callable[[Asked], Says]", getattr(import_module(module), function))


def main(given: Sequence[str] | None = None) -> None:
    """Print the two base URLs and serve until SIGINT or SIGTERM."""
    chosen = _arguments(given)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server = ModelServer(
        _script(chosen),
        port=chosen.port,
        models=chosen.model,
        keys=chosen.key,
        honours_n=not chosen.no_n,
        schemas=not chosen.no_schemas,
        keep_asked=False,
        keep_times=False,
    )
    with server:
        sys.stdout.write(f"OPENAI_BASE_URL={server.openai_url}\nANTHROPIC_BASE_URL={server.anthropic_url}\n")
        sys.stdout.flush()
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
