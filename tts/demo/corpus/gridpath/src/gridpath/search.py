"""Searches over a grid, from one start cell."""


def distances(grid, start):
    """The number of steps from the start to every cell that can be reached."""
    reached = {start: 0}
    edge = [start]
    for steps in range(1, len(grid.cells()) + 1):
        near = [place for cell in edge for place in grid.neighbours(cell)]
        edge = sorted({place for place in near if place not in reached})
        reached.update(dict.fromkeys(edge, steps))
    return reached


def within(grid, start, limit):
    """The cells, sorted, that take at most `limit` steps to reach."""
    return sorted(cell for cell, steps in distances(grid, start).items() if steps <= limit)


def nearest(grid, start, goals):
    """The goal with the fewest steps from the start (the first such in `goals`), or None."""
    steps = distances(grid, start)
    reached = [goal for goal in goals if goal in steps]
    return min(reached, key=steps.get) if reached else None


def shortest_path(grid, start, goal):
    """The cells from start to goal, both included, or None if there is no way."""
    left = distances(grid, goal)
    if start not in left:
        return None
    path = [start]
    for remaining in range(left[start] - 1, -1, -1):
        path.append(next(place for place in grid.neighbours(path[-1]) if left[place] == remaining))
    return path


def cheapest_cost(grid, start, goal):
    """The lowest sum of weights of the cells entered on a way from start to goal, or None."""
    costs = {start: 0}
    cells = grid.cells()
    for _ in cells:
        for cell in cells:
            relax(grid, cell, costs)
    return costs.get(goal)


def relax(grid, cell, costs):
    """Enter the neighbours of a cell with a known cost, where that is cheaper than what is known."""
    if cell not in costs:
        return
    for place in grid.neighbours(cell):
        cost = costs[cell] + grid.weight(place)
        if place not in costs or cost < costs[place]:
            costs[place] = cost
