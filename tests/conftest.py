"""What every test starts from, wherever it runs."""

import os

import pytest


@pytest.fixture(autouse=True)
def _as_wide_as_a_page(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def thorough() -> bool:
    """Whether the few long tests run at their full size, as they do in the gate: TTS_THOROUGH=1."""
    return os.environ.get("TTS_THOROUGH", "") not in ("", "0")
