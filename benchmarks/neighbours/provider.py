"""What the provider says in each work; factories for `benchmarks.served`, which runs them elsewhere."""

from __future__ import annotations

from tts.testing.provider import Asked, Says, Script, faulty

TEXT = r"""The sum is 42, so the answer is \boxed{42}.

[[ ## answer ## ]]
42

[[ ## completed ## ]]

```mswea_bash_command
echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT
```"""
"""An answer in every form that the programs read: in a box, as a field of dspy's, and as a command of
mini-swe-agent's that ends its attempt."""
LONG_SECONDS = 1.0
LONG_EVERY = 4


def steady(seconds: float) -> Script:
    """Every answer takes so many seconds and comes at once."""

    def answer(asked: Asked) -> Says:
        return Says(TEXT, seconds_to_first=seconds)

    return answer


def long_tail(seconds: float) -> Script:
    """Every fourth answer takes a second."""

    def answer(asked: Asked) -> Says:
        return Says(TEXT, seconds_to_first=seconds if asked.index % LONG_EVERY else LONG_SECONDS)

    return answer


def failing(seconds: float, share: float = 0.05) -> Script:
    """A share of the requests fails: half of them with 500, which may be tried again, half with 400."""
    return faulty(steady(seconds), share, ["500", "400"])
