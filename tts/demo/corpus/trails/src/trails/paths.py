"""Shortest paths.

A graph maps each node to its neighbours, and each neighbour to the cost of the step: `{"a": {"b": 2}}`.
Costs are not negative, and steps go one way.
"""

from collections import deque
from heapq import heappop, heappush


def hops(graph, start):
    """Return the least number of steps to every node that can be reached, costs aside."""
    steps = {start: 0}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for neighbour in graph.get(node, {}):
            if neighbour not in steps:
                steps[neighbour] = steps[node] + 1
                waiting.append(neighbour)
    return steps


def costs(graph, start):
    """Return the least cost to every node that can be reached."""
    known = {}
    waiting = [(0, start)]
    while waiting:
        cost, node = heappop(waiting)
        if node in known:
            continue
        known[node] = cost
        for neighbour, step in graph.get(node, {}).items():
            heappush(waiting, (cost + step, neighbour))
    return known


def within(graph, start, budget):
    """Return, sorted, the nodes that can be reached for at most `budget`."""
    return sorted(node for node, cost in costs(graph, start).items() if cost <= budget)


def shortest(graph, start, goal):
    """Return the cheapest path as its cost and its list of nodes; None if there is no path."""
    best = {start: 0}
    before = {}
    waiting = [(0, start)]
    while waiting:
        cost, node = heappop(waiting)
        if node == goal:
            return cost, _trace(before, goal)
        for neighbour, step in graph.get(node, {}).items():
            total = cost + step
            if neighbour not in best or total < best[neighbour]:
                best[neighbour] = total
                before[neighbour] = node
                heappush(waiting, (total, neighbour))
    return None


def _trace(before, goal):
    path = [goal]
    while path[-1] in before:
        path.append(before[path[-1]])
    return path[::-1]
