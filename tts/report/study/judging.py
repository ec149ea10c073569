"""How the judges did, seen with the truth afterwards: by round, by position, and against themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tts.report.bracket import rounds
from tts.run import Choice, Run
from tts.types import Grade, Verdict


@dataclass(frozen=True, slots=True)
class Round:
    """Votes of one strategy's stage and round on pairs of which one is right: `right` of `votes`."""

    strategy: str
    stage: str
    number: int
    pairs: int
    votes: int
    right: int

    @property
    def accuracy(self) -> float:
        """The share of the votes that are for the right one."""
        return self.right / self.votes


@dataclass(frozen=True, slots=True)
class Judging:
    """All votes of a run.

    `first` is how many votes on pairs are for the one shown first. `agreeing` of `compared` pairs of votes
    on the same pair of attempts prefer the same. `abstained` of all `votes` name nobody.
    """

    rounds: tuple[Round, ...]
    votes: int
    abstained: int
    on_pairs: int
    first: int
    compared: int
    agreeing: int


def judging_of(run: Run, choices: Iterable[Choice], grades: Mapping[str, Mapping[str, Grade]]) -> Judging:
    """Return what the verdicts of a run come to."""
    verdicts: Counter[str] = Counter()
    for task in run.tasks():
        verdicts.update(_counted(run.verdicts(task.id)))
    return Judging(
        rounds=tuple(_rounds(choices, grades)),
        **{
            name: verdicts[name]
            for name in ("votes", "abstained", "on_pairs", "first", "compared", "agreeing")
        },
    )


def _counted(verdicts: Sequence[Verdict]) -> Counter[str]:
    counted: Counter[str] = Counter(votes=len(verdicts))
    by_pair: defaultdict[frozenset[str], Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        counted["abstained"] += verdict.preferred is None
        if len(verdict.shown) == 2 and verdict.preferred is not None:
            counted["on_pairs"] += 1
            counted["first"] += verdict.preferred == verdict.shown[0]
            by_pair[frozenset(verdict.shown)][verdict.preferred] += 1
    for votes in by_pair.values():
        n = votes.total()
        counted["compared"] += n * (n - 1) // 2
        counted["agreeing"] += sum(x * (x - 1) // 2 for x in votes.values())
    return counted


def _rounds(choices: Iterable[Choice], grades: Mapping[str, Mapping[str, Grade]]) -> list[Round]:
    pairs: Counter[tuple[str, str, int]] = Counter()
    votes: Counter[tuple[str, str, int]] = Counter()
    right: Counter[tuple[str, str, int]] = Counter()
    for choice in choices:
        graded = grades.get(choice.task_id, {})
        for place, stage in enumerate(choice.stages, start=1):
            for number, matches in enumerate(rounds(stage), start=1):
                where = choice.strategy, f"{place}. {stage.label}", number
                for match in matches:
                    resolved = [graded[key].resolved for key in match.group if key in graded]
                    if len(match.group) == 2 and len(resolved) == 2 and sum(resolved) == 1:
                        pairs[where] += 1
                        votes[where] += sum(match.votes)
                        right[where] += match.votes[resolved.index(True)]
    return [Round(*where, pairs[where], votes[where], right[where]) for where in votes if votes[where]]
