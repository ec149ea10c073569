"""Benchmarks: their tasks, kept apart from their truth, and their graders."""
