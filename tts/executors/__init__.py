"""Carrying out effects: one runner a kind, in this process."""
