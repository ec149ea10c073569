"""Judges: which of some candidates is best."""
