"""A script to try the command line with: a model that does sums, thinks at length, and errs now and then."""

from __future__ import annotations

import hashlib
import json
import re

from tts.testing.provider.script import Asked, Says, default_script

WRONG_SHARE = 0.35
"""Of answers."""


def sums(asked: Asked) -> Says:
    """Return an answer to `a + b` or `a * b`, right or wrong by chance; wrong ones take more thought.

    As a judge it prefers the candidate whose answer is right, three times in four.
    """
    chance = int(hashlib.sha256(f"{asked.index}{asked.prompt}".encode()).hexdigest()[:8], 16) / 2**32
    truth = _truth(asked.prompt)
    if truth is None:
        return default_script(asked)
    if asked.schema is not None:
        return _verdict(asked, truth, chance) or default_script(asked)
    wrong = chance < WRONG_SHARE
    said = truth + round(10 * chance) + 1 if wrong else truth
    n = round(20 + 200 * chance + 150 * wrong)
    return Says(f"The answer is {said}.", thinking_tokens=n, seconds_per_token=0.002)


def _truth(prompt: str) -> int | None:
    found = re.search(r"(\d+)\s*([*x+\u00d7])\s*(\d+)", prompt)
    if found is None:
        return None
    a, b = int(found[1]), int(found[3])
    return a + b if found[2] == "+" else a * b


def _verdict(asked: Asked, truth: int, chance: float) -> Says | None:
    """Return a vote; None where this is no vote."""
    shown = re.split(r"^# Candidate ([A-Z])$", asked.prompt, flags=re.MULTILINE)[1:]
    if not shown:
        return None
    right = [label for label, text in zip(shown[::2], shown[1::2], strict=True) if f" {truth}." in text]
    label = right[0] if right and chance < 0.75 else shown[0]
    return Says(json.dumps({"reasons": "It adds up.", "verdict": label}))
