"""What models are told: short templates, one a role, and the fence around what nobody vouches for."""

from tts.prompts.fence import fenced
from tts.prompts.library import Prompts

__all__ = ["Prompts", "fenced"]
