"""Statistics that are brought up to date with every number."""


class Running:
    """Count, mean and variance without keeping the numbers."""

    def __init__(self, values=()):
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        for value in values:
            self.push(value)

    def push(self, value):
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    def variance(self):
        """The sample variance (divided by n - 1); 0 for fewer than two numbers."""
        if self.count < 2:
            return 0.0
        return self.squares / (self.count - 1)

    def merge(self, other):
        """The statistics of both sets of numbers together; neither is changed."""
        both = Running()
        mine, theirs = self.count, other.count
        both.count = mine + theirs
        if not both.count:
            return both
        delta = other.mean - self.mean
        both.mean = self.mean + delta * theirs / both.count
        cross = delta**2 * mine * theirs / both.count
        both.squares = self.squares + other.squares + cross
        return both


class Window:
    """The mean of the last `size` numbers."""

    def __init__(self, size):
        self.size = size
        self.values = []

    def push(self, value):
        self.values = [*self.values, value][-self.size :]

    def mean(self):
        return sum(self.values) / len(self.values) if self.values else 0.0
