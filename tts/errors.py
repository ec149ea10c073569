"""The errors that tts raises.

TtsError                 everything below
├── UsageError           bad input: one line says what was wrong and what would be right (exit code 2)
│   ├── StrategyError    a strategy text that cannot be read; points at the place
│   └── StoreError       a run that cannot be opened: newer version, open elsewhere, no locks
├── Infra                network, provider or machine: kept apart from the agent's own failures
│   ├── Unusable         a provider that will not serve at all (bad key, unknown model): the run stops
│   └── Moved            the machine of an effect is gone, and another may carry it out
├── Declined             a model will not take this prompt: too long, or refused; the performer's failure
├── LimitReached         an attempt passed its own bound; raised inside the attempt
└── Refused              an effect was not started: a budget is spent or the run is stopping
"""

__all__ = [
    "Declined",
    "Infra",
    "LimitReached",
    "Moved",
    "Refused",
    "StoreError",
    "StrategyError",
    "TtsError",
    "Unusable",
    "UsageError",
]


class TtsError(Exception):
    """Everything that tts raises on purpose."""


class UsageError(TtsError):
    """Bad input. The message is one line: what was wrong, and what would be right."""


class StrategyError(UsageError):
    """A strategy text that cannot be read; the message points at the place and names the choices."""


class StoreError(UsageError):
    """A run on disk that cannot be opened."""


class Infra(TtsError):
    """A failure of the network, a provider or the machine, not of the agent; run again next time."""


class Unusable(Infra):
    """A provider that will not serve at all, such as for a bad key or an unknown model; the run stops."""


class Moved(Infra):
    """The machine that carried an effect out is gone; another may, and what the first used stays billed.

    `begun` says that the effect had begun there: what it used is then known in part only.
    """

    def __init__(self, told: str, *, begun: bool = True) -> None:
        super().__init__(told)
        self.begun = begun


class Declined(TtsError):
    """A model will not take this prompt, because it is too long or refused; asking again changes nothing."""


class LimitReached(TtsError):
    """An attempt passed its own limit; raised by `Attempt.record` and `Attempt.spend`."""


class Refused(TtsError):
    """An effect was not started, because a budget is spent or the run is stopping."""
