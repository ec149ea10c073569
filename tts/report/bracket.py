"""Draws a tournament: who met whom, with which votes, and who went on, from the trace of its stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tts.trace import Match, StageTrace

Label = Callable[[str], str]
"""The name under which a rollout key is shown."""


@dataclass(frozen=True, slots=True)
class Met:
    """A place in a bracket: a rollout, and the places and votes of the match that it won to get there."""

    key: str
    places: tuple[Met, ...] = ()
    votes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Drawn lines of one width; the place's own name ends the line `row`."""

    lines: tuple[str, ...]
    row: int


def rounds(stage: StageTrace) -> list[list[Match]]:
    """Return the stage's matches round by round; a match that was voted on again counts with its last votes.

    A round ends where one who has met somebody in it meets somebody else.
    """
    found: list[dict[tuple[str, ...], Match]] = [{}]
    for match in stage.matches:
        seen = {key for group in found[-1] for key in group}
        if match.group not in found[-1] and seen.intersection(match.group):
            found.append({})
        found[-1][match.group] = match
    return [list(matches.values()) for matches in found if matches]


def bracket(stage: StageTrace) -> list[Met] | None:
    """Return the places of those whom the stage returned; None where its matches are no tournament."""
    played = rounds(stage)
    places = {key: Met(key) for matches in played for match in matches for key in match.group}
    for number, matches in enumerate(played):
        later = {key for others in played[number + 1 :] for match in others for key in match.group}
        for match in matches:
            through = [key for key in match.group if key in later or key in stage.returned]
            if len(through) != 1:
                return None
            before = tuple(places[key] for key in match.group)
            places[through[0]] = Met(through[0], before, match.votes)
    return [places.get(key) or Met(key) for key in stage.returned]


def drawn(place: Met, label: Label) -> list[str]:
    """Return the lines of a bracket: entrants at the left, the one who came through at the right."""
    return [line.rstrip() for line in _block(place, label).lines]


def _block(place: Met, label: Label) -> Block:
    if not place.places:
        return Block((label(place.key),), 0)
    blocks = [_block(inner, label) for inner in place.places]
    width = max(len(line) for block in blocks for line in block.lines)
    lines, exits = _stacked(blocks, place.votes, width)
    return _joined(lines, exits, label(place.key))


def _stacked(blocks: Sequence[Block], votes: Sequence[int], width: int) -> tuple[list[str], list[int]]:
    """Set the blocks below one another, each with its votes on the line that leaves it."""
    lines: list[str] = []
    exits: list[int] = []
    tail = max(len(str(n)) for n in votes) + 3
    for block, n in zip(blocks, votes, strict=True):
        lines += [" " * (width + tail)] * bool(lines)
        exits.append(len(lines) + block.row)
        for row, line in enumerate(block.lines):
            leaves = row == block.row
            lines.append(
                f"{line} ".ljust(width + 1, "─") + f"{n}".rjust(tail - 2, "─") + "─"
                if leaves
                else line.ljust(width + tail)
            )
    return lines, exits


def _joined(lines: Sequence[str], exits: Sequence[int], name: str) -> Block:
    """Join the leaving lines at the right, and put the name of who came through in their middle."""
    middle = (exits[0] + exits[-1]) // 2
    ends = [_corner(row, exits, middle) + (f"─ {name}" if row == middle else "") for row in range(len(lines))]
    width = max(len(end) for end in ends)
    body = [line + end.ljust(width) for line, end in zip(lines, ends, strict=True)]
    return Block(tuple(body), middle)


def _corner(row: int, exits: Sequence[int], middle: int) -> str:
    if row < exits[0] or row > exits[-1]:
        return " "
    if row in (exits[0], exits[-1]):
        return "┐" if row == exits[0] else "┘"
    sides = {(True, True): "┼", (True, False): "┤", (False, True): "├", (False, False): "│"}
    return sides[row in exits, row == middle]
