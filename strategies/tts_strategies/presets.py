"""The strategies that have names: `name@N`, where N is the number of rollouts of one iteration."""

from __future__ import annotations

from tts.pipeline import Pipeline

from .pdr import PDR
from .race import Race
from .refine import Refine
from .rtv import RTV
from .sample import Sample
from .vote import Vote


def single() -> Pipeline:
    """One attempt: the baseline."""
    return Pipeline(Sample(1))


def vote(n: int = 16) -> Pipeline:
    """Majority vote over n attempts."""
    return Pipeline(Sample(n), Vote())


def short(m: int = 3, n: int = 8) -> Pipeline:
    """short-m@k: a vote among the m shortest of n attempts; the others are stopped."""
    return Pipeline(Race(k=n, m=m), Vote(ties="shortest"))


def rtv(n: int = 16) -> Pipeline:
    """Recursive Tournament Voting over n attempts."""
    return Pipeline(Sample(n), RTV())


def pdr(n: int = 16) -> Pipeline:
    """n attempts, then n refined ones that each see four of them at random; the first of these is taken."""
    return Pipeline(Sample(n), Refine(n, priors="random"))


def pdr_short(n: int = 16) -> Pipeline:
    """For short outputs: n drafts, n/2 from what these come to, n/4 from those, and a majority vote."""
    return Pipeline(PDR((n, max(1, n // 2), max(1, n // 4))), Vote())


def pdr_rtv(n: int = 16) -> Pipeline:
    """n attempts, a tournament to the best four, n refined attempts, a tournament to the best one."""
    return Pipeline(Sample(n), RTV(keep=min(4, n)), Refine(n), RTV())
