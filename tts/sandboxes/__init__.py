"""Where untrusted commands run: bubblewrap, or nothing at all when asked for by name."""
