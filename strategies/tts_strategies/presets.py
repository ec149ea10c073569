"""The strategies that have names: `name@N`, where N is the number of rollouts of one iteration."""

from __future__ import annotations

from tts.pipeline import Pipeline

from .ab_mcts import ABMCTS
from .adaptive import Adaptive
from .agentless import Agentless
from .arena import Arena
from .best import Best
from .blitz import Blitz
from .bradley_terry import BradleyTerry
from .codet import CodeT
from .cwm import CWM
from .deepconf import DeepConf
from .deepconf_online import DeepConfOnline
from .esc import ESC
from .knockout import Knockout
from .league import League
from .mbr import MBR
from .panel import Panel
from .pdr import PDR
from .race import Race
from .refine import Refine
from .regression import Regression
from .rsa import RSA
from .rtv import RTV
from .s_star import SStar
from .sample import Sample
from .self_refine import SelfRefine
from .swiss import Swiss
from .tested import Tested
from .vote import Vote
from .weighted import Weighted


def single() -> Pipeline:
    """One attempt: the baseline."""
    return Pipeline(Sample(1))


def vote(n: int = 16) -> Pipeline:
    """Majority vote over n attempts."""
    return Pipeline(Sample(n), Vote())


def weighted(n: int = 16) -> Pipeline:
    """A vote over n attempts in which each weighs its own score, the signal `score`."""
    return Pipeline(Sample(n), Weighted())


def borda(n: int = 16) -> Pipeline:
    """A vote over n attempts in which each weighs by the rank of its mean confidence."""
    return Pipeline(Sample(n), Weighted(signal="confidence_mean", by="borda"))


def deepconf(n: int = 16) -> Pipeline:
    """A vote by confidence among the most confident tenth of n attempts."""
    return Pipeline(Sample(n), DeepConf())


def deepconf_online(n: int = 64) -> Pipeline:
    """Attempts cut once they are less sure than most of the first 16 were, n at most, and a vote."""
    return Pipeline(DeepConfOnline(n=n, warmup=min(16, n)))


def adaptive(n: int = 40) -> Pipeline:
    """Attempts one after another until a majority is sure, n at most, and a majority vote."""
    return Pipeline(Adaptive(cap=n), Vote())


def esc(n: int = 40) -> Pipeline:
    """Attempts in windows of five until one agrees, n at most, and a majority vote."""
    return Pipeline(ESC(window=min(5, n), cap=n), Vote())


def best_of(n: int = 16) -> Pipeline:
    """The one of n attempts with the highest score, the signal `score`."""
    return Pipeline(Sample(n), Best())


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


def arena(n: int = 16) -> Pipeline:
    """n attempts, and at most 5 votes for each two of them, each spent where it tells most."""
    return Pipeline(Sample(n), Arena(votes=5 * n // 2))


def codet(n: int = 16) -> Pipeline:
    """n programs, and one of those that agree best with tests written for the task."""
    return Pipeline(Sample(n), CodeT())


def agentless(n: int = 16) -> Pipeline:
    """n patches, those that break the fewest tests, and the commonest of those that new tests prefer."""
    return Pipeline(Sample(n), Regression(), Agentless())


def cwm(n: int = 16) -> Pipeline:
    """n patches and as many tests; most tests passed, then the commonest patch, then the fewest tokens."""
    return Pipeline(Sample(n), CWM(n=n))


def mbr(n: int = 16) -> Pipeline:
    """n programs, and one whose outputs agree with most others'."""
    return Pipeline(Sample(n), MBR())


def s_star(n: int = 16) -> Pipeline:
    """n programs, clustered by what they do; a judge sees where two clusters differ."""
    return Pipeline(Sample(n), SStar())


def codemonkeys(n: int = 16) -> Pipeline:
    """n attempts, the three that most tests vote for, and a judge that sees where they differ."""
    return Pipeline(Sample(n), Tested(keep=3), SStar(clusters=3))


def trae(n: int = 16) -> Pipeline:
    """n patches, those that break no test, and a panel that votes until one has the majority."""
    return Pipeline(Sample(n), Regression(strict=True), Panel())


def pdr(n: int = 16) -> Pipeline:
    """n attempts, then n refined ones that each see four of them at random; the first of these is taken."""
    return Pipeline(Sample(n), Refine(n, priors="random"))


def pdr_short(n: int = 16) -> Pipeline:
    """For short outputs: n drafts, n/2 from what these come to, n/4 from those, and a majority vote."""
    return Pipeline(PDR((n, max(1, n // 2), max(1, n // 4))), Vote())


def pdr_rtv(n: int = 16) -> Pipeline:
    """n attempts, a tournament to the best four, n refined attempts, a tournament to the best one."""
    return Pipeline(Sample(n), RTV(keep=min(4, n)), Refine(n), RTV())


def pdr_single(n: int = 16) -> Pipeline:
    """n attempts, then n refined ones that each see their own earlier one; the first of these is taken."""
    return Pipeline(Sample(n), Refine(n, priors="single"))


def select_k(n: int = 16) -> Pipeline:
    """n attempts, a tournament to the best four, and n refined ones that see these; the first is taken."""
    return Pipeline(Sample(n), RTV(keep=min(4, n)), Refine(n))


def per_sample(n: int = 16) -> Pipeline:
    """For short outputs: n drafts, n/2 that each see four picked for them, n/4 from those, and a vote."""
    return Pipeline(PDR((n, max(1, n // 2), max(1, n // 4)), distill="per-sample"), Vote())


def rsa(n: int = 16) -> Pipeline:
    """n attempts, ten times replaced by n that each see four of the last, and a majority vote."""
    return Pipeline(RSA(n), Vote())


def self_refine() -> Pipeline:
    """One attempt, refined up to four times from its own summary."""
    return Pipeline(Sample(1), SelfRefine())


def ab_mcts(n: int = 16) -> Pipeline:
    """n rollouts in a tree, wider or deeper as their scores say; a judge scores them (extra: search)."""
    return Pipeline(ABMCTS(n))
