"""Who is owed how much, and the payments that settle it."""

from collections.abc import Iterable
from dataclasses import dataclass

from sharebill.split import split_evenly


@dataclass(frozen=True)
class Expense:
    """What one person paid for everyone in `sharers`, in cents."""

    payer: str
    cents: int
    sharers: tuple[str, ...]


def balances(expenses: Iterable[Expense]) -> dict[str, int]:
    """Return the cents each person is owed; who owes money has a negative balance."""
    net: dict[str, int] = {}
    for expense in expenses:
        net[expense.payer] = net.get(expense.payer, 0) + expense.cents
        for name, share in split_evenly(expense.cents, expense.sharers).items():
            net[name] = net.get(name, 0) - share
    return net


def settle(net: dict[str, int]) -> list[tuple[str, str, int]]:
    """Return payments (debtor, creditor, cents) that bring every balance to zero, big ones first."""
    left = dict(net)
    owing = sorted((name for name in net if net[name] < 0), key=lambda name: (net[name], name))
    owed = sorted((name for name in net if net[name] > 0), key=lambda name: (-net[name], name))
    payments: list[tuple[str, str, int]] = []
    while owing and owed:
        debtor, creditor = owing[0], owed[0]
        cents = min(-left[debtor], left[creditor])
        payments.append((debtor, creditor, cents))
        left[debtor] += cents
        left[creditor] -= cents
        if left[debtor] == 0:
            owing.pop(0)
        if left[creditor] == 0:
            owed.pop(0)
    return payments
