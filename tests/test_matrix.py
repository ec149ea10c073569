"""Tests, each on every rollout: the table, and CodeT over it."""

from tts_strategies.codet import CodeT

from tts.testing import StageContract


class TestCodeT(StageContract):
    stage = CodeT()


class TestCodeTByOwnTests(StageContract):
    stage = CodeT(tests="own", keep=2)
