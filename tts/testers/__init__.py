"""Tests for selection: who writes them, and where they run."""
