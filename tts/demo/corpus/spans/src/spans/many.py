"""Questions about many spans at once: what they cover together, and what they leave free."""

from spans.span import Span


def merge(spans):
    """Return the spans in order, with those that overlap or touch joined into one."""
    merged = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            last = merged.pop()
            merged.append(Span(last.start, max(last.end, span.end)))
        else:
            merged.append(span)
    return merged


def clip(spans, within):
    """Return the parts of the spans that lie in `within`."""
    parts = [span.intersection(within) for span in spans]
    return [part for part in parts if part is not None]


def gaps(spans, within):
    """Return the parts of `within` that no span covers, in order."""
    free = []
    at = within.start
    for span in merge(clip(spans, within)):
        if at < span.start:
            free.append(Span(at, span.start))
        at = span.end
    if at < within.end:
        free.append(Span(at, within.end))
    return free


def subtract(spans, holes):
    """Return what the spans cover and the holes do not, in order."""
    return [free for span in merge(spans) for free in gaps(holes, span)]


def covered(spans):
    """Return how many numbers the spans cover together."""
    return sum(len(span) for span in merge(spans))


def first_fit(spans, within, length):
    """Return the earliest free span of this length inside `within`, None if there is none."""
    for gap in gaps(spans, within):
        if len(gap) >= length:
            return Span(gap.start, gap.start + length)
    return None


def depth(spans):
    """Return the largest number of spans that hold the same number; 0 for no spans."""
    events = [(span.start, 1) for span in spans] + [(span.end, -1) for span in spans]
    deepest = 0
    now = 0
    for _, change in sorted(events):
        now += change
        deepest = max(deepest, now)
    return deepest
