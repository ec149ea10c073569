"""Adds up what a program says that it used: nothing twice, and an unknown price never as zero."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tts.agents.command.said import Figures
from tts.protocols import Attempt
from tts.types import Usage

MOST_SESSIONS = 50
MOST_KEYS = 1000
"""How many sessions, and model calls of a session, are told apart."""


@dataclass(slots=True)
class Session:
    """One session of the program: its last total, and what came after it."""

    base: Usage = Usage()
    since: Usage = Usage()
    calls: dict[str, Usage] = field(default_factory=dict[str, Usage])

    @property
    def usage(self) -> Usage:
        """What the session has used."""
        return self.base + self.since

    def add(self, figures: Figures) -> None:
        """Add what is new, or put a total in the place of what was added."""
        usage = figures.usage
        if not figures.priced:
            usage = replace(usage, unpriced_calls=max(1, usage.calls))
        if figures.total:
            self.base, self.since = usage, Usage()
            self.calls.clear()
            return
        before = self.calls.get(figures.key, Usage()) if figures.key else Usage()
        self.since = self.since + usage.less(before)
        if figures.key:
            if len(self.calls) >= MOST_KEYS:
                del self.calls[next(iter(self.calls))]
            self.calls[figures.key] = before + usage.less(before)


@dataclass(slots=True)
class Bill:
    """Passes on to the attempt what is new of each figure.

    Calls of unknown price are passed on when the bill is closed, since a later total may bring their price.
    """

    attempt: Attempt
    session: str = ""
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])
    paid: Usage = Usage()

    def enter(self, session: str) -> None:
        """Name the session that figures belong to from here on."""
        if session and (session in self.sessions or len(self.sessions) < MOST_SESSIONS):
            self.session = session

    def add(self, figures: Figures) -> None:
        """Count figures.

        Raises:
            LimitReached: the attempt has passed one of its limits.
        """
        self.sessions.setdefault(self.session, Session()).add(figures)
        self._pay(replace(self._sum(), unpriced_calls=0))

    def close(self) -> None:
        """Count the calls that are left without a price; one, where the program told nothing of its use.

        Raises:
            LimitReached: the attempt has passed one of its limits.
        """
        self._pay(self._sum() if self.sessions else Usage(calls=1, unpriced_calls=1, estimated=True))

    def _sum(self) -> Usage:
        return sum((session.usage for session in self.sessions.values()), Usage())

    def _pay(self, owed: Usage) -> None:
        new = owed.less(self.paid)
        if new != Usage():
            self.paid = self.paid + new
            self.attempt.spend(new)
