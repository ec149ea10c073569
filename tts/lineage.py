"""How a winner came to be, as a networkx graph: who met whom, who went on, whose summary fed whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import networkx as nx

from tts.run import Choice
from tts.types import Rollout

Graph: TypeAlias = "nx.MultiDiGraph[str]"


def lineage(choice: Choice, rollouts: Mapping[str, Rollout]) -> Graph:
    """Return the graph of one strategy's choice on one task.

    Nodes are rollout keys (`kind="rollout"`, with `index`, `iteration`, `status`, `winner`) and matches
    (`kind="match"`, with `stage` and `votes` by rollout key). Edges: `met` from a rollout to its match,
    `won` from a match to each rollout that led it, `prior` from a rollout to one that read its summary.
    """
    graph: Graph = nx.MultiDiGraph(task=choice.task_id, strategy=choice.strategy)
    given = choice.stages[0].given if choice.stages else ()
    known = [rollouts[key] for key in (*given, *choice.used) if key in rollouts]
    for rollout in sorted(known, key=lambda r: (r.iteration, r.index)):
        _add_rollout(graph, rollout, choice.winner)
    for s, stage in enumerate(choice.stages):
        for m, match in enumerate(stage.matches):
            _add_match(graph, f"match-{s}-{m}", stage.label, dict(zip(match.group, match.votes, strict=True)))
    return graph


def mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flow chart. Its labels hold only numbers and fixed words."""
    names = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node, data in graph.nodes(data=True):
        lines.append(f"  {names[node]}{_label(data)}")
    for start, end, data in graph.edges(data=True):
        arrow = "==>" if data["kind"] == "won" else "-.->" if data["kind"] == "prior" else "-->"
        lines.append(f"  {names[start]} {arrow} {names[end]}")
    return "\n".join(lines)


def _label(data: Mapping[str, Any]) -> str:
    if data["kind"] == "match":
        return "{{" + " : ".join(str(n) for n in data["votes"].values()) + "}}"
    crown = ", winner" if data["winner"] else ""
    return f'["attempt {data["iteration"]}.{data["index"]} ({data["status"]}{crown})"]'


def _add_rollout(graph: Graph, rollout: Rollout, winner: str) -> None:
    graph.add_node(
        rollout.key,
        kind="rollout",
        index=rollout.index,
        iteration=rollout.iteration,
        status=rollout.status,
        winner=rollout.key == winner,
    )
    for prior in (key for key in rollout.priors if key in graph):
        graph.add_edge(prior, rollout.key, kind="prior")


def _add_match(graph: Graph, name: str, stage: str, votes: Mapping[str, int]) -> None:
    graph.add_node(name, kind="match", stage=stage, votes=dict(votes))
    for key, n in votes.items():
        graph.add_edge(key, name, kind="met", votes=n)
        if n == max(votes.values()):
            graph.add_edge(name, key, kind="won", votes=n)
