"""Whether math-verify finds two mathematical answers equal, asked of a process that can be killed."""

from __future__ import annotations

import atexit
import os
from functools import lru_cache
from importlib.util import find_spec

from tts.errors import UsageError
from tts.mathematics.latex import as_latex, bare
from tts.mathematics.process import Worker

__all__ = ["SECONDS", "Verifier", "as_latex", "bare", "needed", "verified"]

SECONDS = 3.0
"""The most that one comparison may take."""
_KEPT = 65_536
_PROBE = "17"


class Verifier:
    """Compares answers by asking a worker; from any thread. Results are kept, the latest 65,536 of them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._hopeless: set[str] = set()
        self._asked = lru_cache(maxsize=_KEPT)(self._ask)

    def __call__(self, first: str, second: str) -> bool:
        """Return whether the worker says yes, whichever answer is the first; no where it comes to no end."""
        return first == second or self._asked(*sorted((first, second)))

    def stop(self) -> None:
        """End the process; the next question starts another."""
        self._worker.stop()

    def _ask(self, first: str, second: str) -> bool:
        pair = (first, second)
        if not self._hopeless.isdisjoint(pair):
            return False
        said = self._worker.ask(first, second)
        if said is None:
            # Whichever ends with nothing at all is not asked about again: each time would take all its time.
            self._hopeless.update(answer for answer in pair if self._worker.ask(answer, _PROBE) is None)
        return said is True


_verifier = Verifier(Worker(SECONDS))
_inherited: list[Verifier] = []


def verified(first: str, second: str) -> bool:
    """Return whether math-verify finds two answers, given as LaTeX, to be equal.

    It counts as no where that takes longer than `SECONDS`, or more memory than the process may have.

    Raises:
        UsageError: math-verify is not installed or does not start.
    """
    return _verifier(first, second)


def needed() -> None:
    """Return nothing where math-verify is installed.

    Raises:
        UsageError: it is not; the message says how to install it.
    """
    if find_spec("math_verify") is None:
        raise UsageError("the equivalence 'math' needs math-verify: pip install 'tts-scaling[math]'")


def _forked() -> None:
    """Leave the process to the parent; its handle is kept, for a handle that is dropped warns."""
    global _verifier
    _inherited.append(_verifier)
    _verifier = Verifier(Worker(SECONDS))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(lambda: _verifier.stop())
