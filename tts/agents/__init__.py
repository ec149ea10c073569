"""Agents: adapters from what users have to the one-verb protocol."""
