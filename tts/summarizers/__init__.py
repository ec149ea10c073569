"""Summarizers: a trajectory in brief, captured evidence apart from claims."""
