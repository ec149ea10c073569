"""What every test starts from, wherever it runs."""

import pytest


@pytest.fixture(autouse=True)
def _as_wide_as_a_page(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
