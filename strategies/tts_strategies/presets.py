"""The strategies that have names: `name@N`, where N is the number of rollouts of one iteration."""

from __future__ import annotations

from tts.pipeline import Pipeline

from .blitz import Blitz
from .bradley_terry import BradleyTerry
from .knockout import Knockout
from .league import League
from .pdr import PDR
from .race import Race
from .refine import Refine
from .rtv import RTV
from .sample import Sample
from .swiss import Swiss
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


def knockout(n: int = 16) -> Pipeline:
    """A knockout of n attempts, each pair compared four times."""
    return Pipeline(Sample(n), Knockout())


def league(n: int = 16) -> Pipeline:
    """A league of n attempts, in which each meets four others."""
    return Pipeline(Sample(n), League())


def swiss(n: int = 16) -> Pipeline:
    """n attempts and two votes for each, asked where those meet who stand close."""
    return Pipeline(Sample(n), Swiss())


def blitz(n: int = 16) -> Pipeline:
    """n attempts, compared four at a time; what follows from what is known is not asked."""
    return Pipeline(Sample(n), Blitz())


def bradley_terry(n: int = 16) -> Pipeline:
    """n attempts, two votes on each pair of them, and the strongest by a fit to all votes."""
    return Pipeline(Sample(n), BradleyTerry())


def pdr(n: int = 16) -> Pipeline:
    """n attempts, then n refined ones that each see four of them at random; the first of these is taken."""
    return Pipeline(Sample(n), Refine(n, priors="random"))


def pdr_short(n: int = 16) -> Pipeline:
    """For short outputs: n drafts, n/2 from what these come to, n/4 from those, and a majority vote."""
    return Pipeline(PDR((n, max(1, n // 2), max(1, n // 4))), Vote())


def pdr_rtv(n: int = 16) -> Pipeline:
    """n attempts, a tournament to the best four, n refined attempts, a tournament to the best one."""
    return Pipeline(Sample(n), RTV(keep=min(4, n)), Refine(n), RTV())
