"""Puts tasks in an order that respects what each of them needs."""


def in_order(needs):
    """Return all tasks so that each comes after those that it needs; otherwise by name.

    `needs` maps a task to the set of tasks that it needs.  Raises ValueError if tasks need one another.
    """
    waiting = {}
    for task, needed in needs.items():
        waiting[task] = set(needed)
        for other in needed:
            waiting.setdefault(other, set())
    done = []
    while waiting:
        ready = sorted(task for task, open_needs in waiting.items() if not open_needs)
        if not ready:
            raise ValueError(f"these need one another: {sorted(waiting)}")
        for task in ready:
            del waiting[task]
        for open_needs in waiting.values():
            open_needs.difference_update(ready)
        done.extend(ready)
    return done
