"""Measurements, run one by one: `python -m benchmarks.<name>`; none is imported by the package."""
