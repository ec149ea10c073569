"""One clean directory per attempt."""
