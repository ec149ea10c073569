"""What `tts export` writes: one attempt in memory at a time, only below the folder that was named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tts.cli.swebench.keeping import is_prediction
from tts.errors import UsageError
from tts.formats import atif, leaderboard, mini, preds
from tts.formats.files import write_json
from tts.formats.names import escaped
from tts.formats.pool import adding
from tts.formats.recorded import Recorded, recorded
from tts.run import Choice, Run
from tts.types import RESULTS, Rollout


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: the folder, whose choices (empty: of all), and the names of a submission."""

    output: Path
    strategy: str = ""
    winners: bool = False
    split: str = "verified"
    name: str = ""
    date: str = ""


@dataclass(slots=True)
class Made:
    """What was written, in sentences and as JSON, and what could not be: sentences with how often."""

    told: list[str] = field(default_factory=list[str])
    written: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    lost: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, sentence: str) -> None:
        """Count a sentence once more."""
        self.lost[sentence] = self.lost.get(sentence, 0) + 1

    def add(self, told: str, **facts: Any) -> None:
        """Tell of something that was written."""
        self.told.append(told)
        self.written.append(facts)


def write(run: Run, how: str, wish: Wish) -> Made:
    """Write a run in a format.

    Raises:
        UsageError: the run has nothing of what was asked for.
    """
    made = Made()
    if how == "preds":
        _predictions(run, wish, made)
    elif how == "leaderboard":
        _leaderboard(run, wish, made)
    elif how == "pool":
        _pool(run, wish, made)
    else:
        _trajectories(run, how, wish, made)
    return made


def _strategies(run: Run, wish: Wish) -> list[str]:
    names = list(run.config.strategies)
    if wish.strategy and wish.strategy not in names:
        raise UsageError(f"the run has no strategy {wish.strategy!r}; it has {', '.join(names) or 'none'}")
    return [wish.strategy] if wish.strategy else names


def _choices(run: Run, name: str, made: Made) -> Iterator[Choice]:
    for choice in run.current_choices():
        if choice.strategy == name:
            if is_prediction(choice):
                yield choice
            else:
                made.note(f"{name}: choices that were cut short and may still change left out")


def _attempts(run: Run, wish: Wish, made: Made) -> Iterator[Recorded]:
    """Return the attempts that were asked for, by task, numbered within it in the order that they ended."""
    wanted = _wanted(run, wish, made)
    for task in run.tasks():
        number = 0
        for record in run.store.records(kind="rollout", task_id=task.id):
            if record.result is None or record.status not in RESULTS:
                made.note("attempts without a result left out")
                continue
            if wanted is None or record.key in wanted:
                yield _recorded(run, record.read(Rollout), number, record.performer)
            number += 1


def _wanted(run: Run, wish: Wish, made: Made) -> set[str] | None:
    if not (wish.winners or wish.strategy):
        return None
    names = _strategies(run, wish)
    if wish.winners:
        return {choice.winner for name in names for choice in _choices(run, name, made)}
    return {key for name in names for choice in _choices(run, name, made) for key in choice.used}


def _recorded(run: Run, rollout: Rollout, number: int, agent: str) -> Recorded:
    extra: dict[str, Any] = {"key": rollout.key, "index": rollout.index}
    if rollout.priors:
        extra |= {"iteration": rollout.iteration, "priors": list(rollout.priors)}
    steps = run.steps(rollout.key)
    lost = () if rollout.n_steps == len(steps) else ("steps that the run no longer has",)
    return recorded(
        rollout.task_id,
        rollout,
        steps,
        sample=number,
        agent=rollout.agent or agent,
        extra=extra,
        lost=lost,
        source=rollout.key,
    )


def _trajectories(run: Run, how: str, wish: Wish, made: Made) -> None:
    n_files = 0
    for found in _attempts(run, wish, made):
        for sentence in found.lost:
            made.note(sentence)
        if how == "mini":
            ending, document = ".traj.json", mini.document(found)
        else:
            ending, document = ".json", atif.document(found)
        write_json(wish.output / "trajs" / escaped(found.task_id) / f"{found.sample}{ending}", document)
        n_files += 1
    made.add(f"{n_files} trajectories written to {wish.output / 'trajs'}", trajectories=n_files)


def _pool(run: Run, wish: Wish, made: Made) -> None:
    with adding(wish.output) as pool:
        for found in _attempts(run, wish, made):
            if pool.has(found.source):
                made.note("attempts that the pool has already")
                continue
            pool.add(found)
    made.add(f"{pool.n_samples} attempts added to {wish.output}", attempts=pool.n_samples)


def _predictions(run: Run, wish: Wish, made: Made) -> None:
    names = _strategies(run, wish)
    if not names:
        raise UsageError("the run has no strategy yet, so nothing was chosen")
    for name in names:
        path = wish.output / f"{escaped(name)}.json"
        patches = {task_id: found.patch if found else None for task_id, found in _chosen(run, name, made)}
        preds.write(path, patches, wish.name or name)
        n_empty = sum(not patch for patch in patches.values())
        told = f"{len(patches)} predictions of {name} written to {path}, {n_empty} of them empty"
        made.add(told, strategy=name, file=str(path), predictions=len(patches), empty=n_empty)


def _chosen(run: Run, name: str, made: Made) -> Iterator[tuple[str, Rollout | None]]:
    """Return a strategy's choice on each task; None where it chose nothing."""
    for choice in _choices(run, name, made):
        record = run.store.find(choice.winner) if choice.winner else None
        rollout = record.read(Rollout) if record is not None else None
        if rollout is not None and rollout.patch is None and rollout.answer:
            made.note("answers that are no patches left empty")
        yield choice.task_id, rollout


def _leaderboard(run: Run, wish: Wish, made: Made) -> None:
    names = _strategies(run, wish)
    if len(names) != 1:
        raise UsageError(
            f"a submission is of one strategy: add --strategy, one of {', '.join(names) or 'none'}"
        )
    (name,) = names
    used = [len(choice.used) for choice in run.current_choices() if choice.strategy == name]
    how = f"One attempt was chosen by `{name}`, which sees no hidden test and no score."
    entry = leaderboard.Entry(
        wish.split,
        wish.date or datetime.now(UTC).strftime("%Y%m%d"),
        wish.name or escaped(name).replace("%", "-").replace("@", "-").strip("-"),
        model=wish.name or name,
        n_attempts=max([1, *used]),
        how=how,
    )
    agent = run.config.performers.get("agent", "")
    winners = (
        (task_id, _recorded(run, found, found.index, agent) if found else None)
        for task_id, found in _chosen(run, name, made)
    )
    n_predictions, n_trajectories = leaderboard.write(wish.output, entry, winners)
    folder = entry.folder(wish.output)
    told = f"{n_predictions} predictions and {n_trajectories} trajectories written to {folder}"
    made.add(told, folder=str(folder), predictions=n_predictions, trajectories=n_trajectories)
    made.told.append(
        "still to do: the official harness's logs/, and what metadata.yaml and README.md leave open"
    )
