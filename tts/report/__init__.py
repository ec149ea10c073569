"""Runs and comparisons as text: terminal, Markdown and JSON; pure functions that print nothing."""
