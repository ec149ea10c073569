"""Graders: they hold the truth and are asked only after every strategy has chosen."""

from tts.graders.expected import ExpectedAnswer
from tts.graders.function import FunctionGrader

__all__ = ["ExpectedAnswer", "FunctionGrader"]
