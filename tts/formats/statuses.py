"""What the exit statuses of others come to: an attempt's own end, a limit, or a fault of the machine."""

from __future__ import annotations

from tts.types import Status

FINISHED = frozenset({"submitted", "completed", "success", "finished", "done"})

LIMITS = (
    "limitsexceeded",
    "timeexceeded",
    "contextwindowexceeded",
    "exit_cost",
    "exit_context",
    "exit_total_execution_time",
    "exit_command_timeout",
    "costlimit",
    "step_limit",
    "max_steps",
    "max_iterations",
)

MACHINE = (
    "exit_api",
    "exit_environment_error",
    "apiconnection",
    "apierror",
    "apitimeout",
    "ratelimit",
    "internalserver",
    "serviceunavailable",
    "badgateway",
    "authenticationerror",
    "permissiondenied",
    "notfounderror",
    "connectionerror",
    "connecttimeout",
    "readtimeout",
    "remoteprotocol",
    "docker",
    "calledprocesserror",
    "timeoutexpired",
    "budgetexceeded",
    "memoryerror",
    "oserror",
)

INTERRUPTED = ("userinterruption", "keyboardinterrupt", "cancelled", "interrupted")


def status_of(exit_status: object) -> Status:
    """Return the status that an exit status stands for.

    `submitted (exit_cost)`, as SWE-agent writes when it hands in what a cut attempt left, is a limit. None
    and the empty text mean that the attempt never came to its end: `cancelled`. Whatever is not known is
    `failed`.
    """
    told = str(exit_status or "").strip().lower()
    if not told or any(word in told for word in INTERRUPTED):
        return "cancelled"
    if any(word in told for word in MACHINE) or told == "timeout":
        return "infra"
    if any(word in told for word in LIMITS):
        return "limit"
    return "finished" if told in FINISHED else "failed"
