"""The frozen nouns that every room shares; no input or output happens here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Generic, Literal, TypeVar

from tts.hostile import size_of

T = TypeVar("T")

Status = Literal["finished", "failed", "limit", "cancelled", "infra"]
"""How an effect ended.

`finished`, `failed` (the performer's own fault) and `limit` (a step, time or cost limit) are results
and are kept.  `cancelled` (nobody waited any more) and `infra` (network, provider, machine) keep their
partial record and may be run again.
"""

RESULTS: frozenset[Status] = frozenset({"finished", "failed", "limit"})
"""The statuses that count as a result: they are never done again."""


def digest(value: object) -> str:
    """Return the hex SHA-256 of a JSON value in canonical form; the base of every key."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used; adds up.

    `calls` are model calls. `input_tokens` are all prompt tokens, cached ones included;
    `cached_input_tokens` and `cache_write_tokens` are parts of them. `output_tokens` include
    `reasoning_tokens`. `known_usd` is the priced part; `unpriced_calls` counts calls whose price is
    unknown, so that an unknown price never hides a known cost. `retries` counts the requests that brought
    nothing and were made again; `retry_tokens` and `retry_usd` are what they cost, parts of the rest.
    `estimated` marks figures that no provider confirmed.
    """

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    known_usd: float = 0.0
    unpriced_calls: int = 0
    retries: int = 0
    retry_tokens: int = 0
    retry_usd: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def usd(self) -> float | None:
        """Dollars, or None where a call's price is unknown."""
        return None if self.unpriced_calls else self.known_usd

    @property
    def plain(self) -> Usage:
        """The same in Python's own numbers, which alone can be stored.

        Raises:
            TypeError, ValueError, OverflowError: a figure is no number, or a count is not whole.
        """
        return Usage(**{f.name: _own(f.name, getattr(self, f.name)) for f in fields(self)})

    def __add__(self, other: Usage) -> Usage:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[:-1]}
        return Usage(**sums, estimated=self.estimated or other.estimated)

    def less(self, part: Usage) -> Usage:
        """Return what is left without a part; nothing falls below zero."""
        rest = {f.name: max(0, getattr(self, f.name) - getattr(part, f.name)) for f in fields(self)[:-1]}
        return Usage(**rest, estimated=self.estimated and any(rest.values()))

    def scaled(self, share: float) -> Usage:
        """Return `share` (0 to 1) of this usage, marked as an estimate unless the share is whole.

        Calls are counted whole: one that was cut short was made all the same.
        """
        if share >= 1.0:
            return self
        whole = {f.name: round(getattr(self, f.name) * share) for f in fields(self)[:-1]}
        whole |= {name: getattr(self, name) for name in ("calls", "unpriced_calls", "retries")}
        whole |= {"known_usd": self.known_usd * share, "retry_usd": self.retry_usd * share}
        return Usage(**whole, estimated=True)


def _own(name: str, figure: Any) -> Any:
    """Return a figure of a usage as Python's own number."""
    if name == "estimated":
        return bool(figure)
    if name.endswith("_usd"):
        return float(figure)
    if int(figure) != figure:
        raise TypeError(f"{name} is a whole number, not {figure!r}")
    return int(figure)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits, or what is left of them, or the most that an effect can cost.

    `usd`: dollars. `tokens`: input plus output. `seconds`: time of the effects, summed as if they ran
    one after another. `rollouts`: attempts started. None means no limit is set (or known); 0 means
    nothing.
    """

    usd: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    rollouts: int | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"a budget's {f.name} must be zero or more, not {value!r}")


FREE = Budget(usd=0.0, tokens=0, seconds=0.0, rollouts=0)
"""The bound of an effect that costs nothing worth counting."""


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work: what an agent, a summarizer and a judge may see, and nothing that a grader needs.

    `repo` is a path or address of a git repository and `base_commit` the commit to start from, or both
    are empty. `metadata` holds JSON values that the agent may see. Gold patches, hidden tests and
    expected answers belong to graders and never enter a Task.
    """

    id: str
    prompt: str
    repo: str = ""
    base_commit: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def digest(self) -> str:
        """Hex hash of the content: two tasks with the same digest share their effects.

        The place of the repository is left out, so a run can move to another machine; the commit is in.
        """
        return digest([self.id, self.prompt, self.base_commit, dict(self.metadata)])


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a trajectory.

    `returncode` is set only where a harness itself ran the action as a command and captured how it
    ended; None means the observation is only what was said. `seconds` is the step's duration and
    `at` its start as a Unix time (0.0: unknown).
    """

    thought: str = ""
    action: str = ""
    observation: str = ""
    returncode: int | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    at: float = 0.0

    @property
    def n_bytes(self) -> int:
        """The size of its texts in UTF-8."""
        return sum(map(size_of, (self.thought, self.action, self.observation)))


@dataclass(frozen=True, slots=True)
class Rollout:
    """One attempt at a task, without its steps: those are read from the store by `key` when wanted.

    An agent fills `answer` or `patch`, and may set `status`, `length` and `signals`; the engine fills the
    rest. With a workspace, a patch of the agent's own that applies to the base commit is kept, else the
    difference is taken. `length` is the attempt's own measure of its thinking (tokens, or steps), None when
    unknown; `thought` says whether its thinking came to an end. `signals` are numbers
    from the attempt itself, such as the mean log-probability or the share of visible tests that pass;
    never from the truth. `priors` are the keys of the rollouts whose summaries it was given. `iteration`
    is 0 without priors. `trace_bytes` is the size of its steps' texts in UTF-8; 0 with steps: not known.
    `agent` names who made it, where several share the budget.
    """

    key: str = ""
    task_id: str = ""
    index: int = 0
    status: Status = "finished"
    answer: str | None = None
    patch: str | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    length: float | None = None
    thought: bool = False
    priors: tuple[str, ...] = ()
    iteration: int = 0
    signals: Mapping[str, float] = field(default_factory=dict[str, float])
    n_steps: int = 0
    trace_bytes: int = 0
    error: str = ""
    agent: str = ""

    @property
    def output(self) -> str | None:
        """What would be handed in: the patch or, without one, the answer; None when there is neither."""
        return self.patch if self.patch is not None else self.answer


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the harness ran itself. `output` is captured text, cut to size; `step` counts from 0."""

    step: int
    command: str
    returncode: int
    output: str = ""


@dataclass(frozen=True, slots=True)
class TestRun:
    """A recognized test command with captured counts; None means the output did not say."""

    __test__: ClassVar[bool] = False  # pytest would take the name for a test class

    step: int
    command: str
    returncode: int
    passed: int | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An error seen in captured output; `resolved` when the same command succeeded later."""

    step: int
    text: str
    resolved: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A changed place: `before` and `after` are the removed and added lines, cut to size."""

    file: str
    function: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A rollout's trajectory in brief: captured evidence apart from what was only claimed.

    The content follows arXiv 2604.16529 (METHODS: requirements, actions, changes, commands, errors,
    evidence, final state, verification). `covered` is the share of the trajectory that was read, 0 to 1.
    `tests` come from captured output only; `last_edit` is the last step known to change files, -1: none.
    `claims` are what the agent said. `verified`, `attempted` and `unverified` say which statements
    captured evidence confirms, contradicts or leaves open. One that was distilled from several rollouts has
    their keys as `sources` and no `rollout` of its own; `covered` is then the share of what they hold.
    """

    key: str = ""
    rollout: str = ""
    status: Status = "finished"
    requirements: tuple[str, ...] = ()
    approach: tuple[str, ...] = ()
    files_examined: tuple[str, ...] = ()
    files_modified: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    commands: tuple[Command, ...] = ()
    last_edit: int = -1
    tests: tuple[TestRun, ...] = ()
    errors: tuple[Problem, ...] = ()
    verified: tuple[str, ...] = ()
    attempted: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    final_state: str = ""
    outcome: Status = "finished"
    covered: float = 1.0
    usage: Usage = Usage()
    error: str = ""
    sources: tuple[str, ...] = ()

    @property
    def rollouts(self) -> tuple[str, ...]:
        """The keys of the rollouts that it tells of: one, or those that it was distilled from."""
        return self.sources or (self.rollout,)

    def render(self) -> str:
        """Return the text that a judge or a refined agent reads: one headed list per filled part.

        Every line below a heading starts with "- " or is indented, so no content can pass for a heading.
        """
        return "\n\n".join(f"{head}\n{body}" for head, body in self._parts() if body)

    def _parts(self) -> Iterator[tuple[str, str]]:
        if self.sources:
            n_drafts = f"{len(self.sources)} draft{'s' * (len(self.sources) > 1)}"
            yield f"Workspace distilled from {n_drafts}", _listed([f"covers {self.covered:.0%} of them"])
        else:
            yield "Status", _listed([f"{self.outcome}; covers {int(100 * self.covered)}% of the trajectory"])
        yield "Requirements", _listed(self.requirements)
        yield "Approach", _listed(self.approach)
        yield "Files examined", _listed(self.files_examined)
        yield "Files modified", _listed(self.files_modified)
        yield "Code changes", _listed(_change_text(c) for c in self.changes)
        yield "Commands (captured)", _listed(_command_text(c) for c in self.commands)
        yield "Tests (captured)", _listed(_test_text(t) for t in self.tests)
        yield (
            "Errors (captured)",
            _listed(
                f"step {p.step}, {'resolved' if p.resolved else 'NOT resolved'}: {p.text}"
                for p in self.errors
            ),
        )
        yield "Verified by captured output", _listed(self.verified)
        yield "Attempted, contradicted by captured output", _listed(self.attempted)
        yield "Not verified", _listed(self.unverified)
        yield "Claims of the agent (unconfirmed)", _listed(self.claims)
        yield "Final state", _listed([self.final_state] if self.final_state else [])
        yield "This summary failed", _listed([self.error] if self.error else [])


def _listed(items: Iterable[str]) -> str:
    return "\n".join("- " + "\n  ".join(item.splitlines()) for item in items)


def _change_text(change: Change) -> str:
    place = f"{change.file} {change.function}".rstrip()
    minus = "".join(f"\n  - {line}" for line in change.before.splitlines())
    plus = "".join(f"\n  + {line}" for line in change.after.splitlines())
    return place + minus + plus


def _command_text(command: Command) -> str:
    tail = "".join(f"\n  {line}" for line in command.output.splitlines())
    return f"step {command.step}: `{command.command}` returned {command.returncode}{tail}"


def _test_text(test: TestRun) -> str:
    known = [f"{n} {word}" for n, word in ((test.passed, "passed"), (test.failed, "failed")) if n is not None]
    return f"step {test.step}: `{test.command}` returned {test.returncode}: {', '.join(known) or 'no counts'}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a judge is shown of one rollout."""

    rollout: Rollout
    summary: Summary


@dataclass(frozen=True, slots=True)
class Verdict:
    """One vote of a judge.

    `preferred` is the key of the rollout it prefers, or None when it abstains. `shown` are the rollout
    keys in the order shown. `scores`, where the judge gives them, are in that order too.
    """

    shown: tuple[str, ...] = ()
    preferred: str | None = None
    status: Status = "finished"
    scores: tuple[float, ...] = ()
    reason: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Tally:
    """The verdicts on one group. `votes` gives each rollout key its count; abstentions count for nobody."""

    group: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = ()

    @property
    def votes(self) -> dict[str, int]:
        """Votes per rollout key, in the order of `group`, zeros included."""
        counts = dict.fromkeys(self.group, 0)
        for verdict in self.verdicts:
            if verdict.preferred in counts:
                counts[verdict.preferred] += 1
        return counts

    @property
    def leaders(self) -> list[str]:
        """The keys that share the most votes; all of the group when nobody has one."""
        votes = self.votes
        return [key for key in self.group if votes[key] == max(votes.values())]


@dataclass(frozen=True, slots=True)
class Grade:
    """What the truth says of one rollout. `score` is in [0, 1]; `resolved` when it passes in full.

    `outcome` is a benchmark's own word for it, such as SWE-bench's `empty patch`; "" where it has none.
    """

    rollout: str = ""
    status: Status = "finished"
    resolved: bool = False
    score: float = 0.0
    detail: str = ""
    usage: Usage = Usage()
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rollouts, best first once ranked. `incomplete` when a limit or a stop cut it short."""

    rollouts: tuple[Rollout, ...] = ()
    ranked: bool = False
    incomplete: bool = False

    @property
    def winner(self) -> Rollout | None:
        """The first rollout that has an output, else the first, else None."""
        usable = (r for r in self.rollouts if r.output)
        return next(usable, next(iter(self.rollouts), None))

    @property
    def keys(self) -> tuple[str, ...]:
        """The rollouts' keys, in order."""
        return tuple(r.key for r in self.rollouts)

    def __len__(self) -> int:
        return len(self.rollouts)

    def __iter__(self) -> Iterator[Rollout]:
        return iter(self.rollouts)


@dataclass(frozen=True, slots=True)
class Effect(Generic[T]):
    """Something that costs time or money, as plain data; `key` is its identity.

    `kind` is `rollout`, `summary`, `distil`, `verdict`, `grade` or a registered kind. `inputs` are keys of
    stored effects, in the order that they are shown. `performer` is a fingerprint. `occurrence` tells apart
    askings of the same question. `bound` is the most that it can cost. `returns` is the type of the
    result, a frozen dataclass with `status` and `usage`; neither `bound` nor `returns` is in the key.
    `key` is a hex hash of all the rest; `question` the same without the occurrence: effects with one
    question may be performed together.
    """

    kind: str
    task: Task
    returns: type[T]
    performer: str
    inputs: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    occurrence: int = 0
    seed: int = 0
    bound: Budget = Budget()
    question: str = field(init=False, repr=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        body = [self.kind, self.task.digest, self.performer, self.inputs, dict(self.params), self.seed]
        object.__setattr__(self, "question", digest(body))
        object.__setattr__(self, "key", digest([self.question, self.occurrence]))


def jsonable(value: object) -> Any:
    """Return a frozen noun as plain dicts and lists, ready for `json.dumps`."""
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value  # type: ignore[call-overload]
