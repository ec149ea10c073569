"""What every test starts from, wherever it runs."""

import os
import tempfile

import pytest
from hypothesis import settings

THOROUGH = os.environ.get("TTS_THOROUGH", "") not in ("", "0")
settings.register_profile("tts", max_examples=100 if THOROUGH else 25, deadline=None)
settings.load_profile("tts")

QUIET = tempfile.TemporaryDirectory(prefix="tts-tests-")
os.environ |= {"MSWEA_SILENT_STARTUP": "1", "MSWEA_GLOBAL_CONFIG_DIR": QUIET.name}
"""mini-swe-agent, where a test imports it by itself, prints no banner and makes no folder at home."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for a process or a clock."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: takes long; runs where TTS_THOROUGH=1, as in the gate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, with a word, what takes long."""
    told = pytest.mark.skip(reason="takes long: the gate runs it, with TTS_THOROUGH=1")
    for item in items if not THOROUGH else ():
        if item.get_closest_marker("thorough") is not None:
            item.add_marker(told)


def pytest_unconfigure() -> None:
    QUIET.cleanup()


@pytest.fixture(autouse=True)
def _as_wide_as_a_page(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def thorough() -> bool:
    """Whether the few long tests run at their full size, as they do in the gate: TTS_THOROUGH=1."""
    return THOROUGH
