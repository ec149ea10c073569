"""How many tokens a text has, as far as that can be told without the model's own tokenizer."""

from __future__ import annotations

from tts.hostile import size_of

BYTES_PER_TOKEN = 4
"""In UTF-8; what providers name as the rule of thumb for English text."""
BYTES_PER_TOKEN_AT_LEAST = 3
"""Few texts have fewer bytes a token; bounds go by it."""
FRAME_TOKENS = 200
"""What a chat template and a response schema may add to a prompt."""


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has: a quarter of its bytes, rounded up."""
    return -(-size_of(text) // BYTES_PER_TOKEN)


def most_tokens(text: str) -> int:
    """Return how many tokens a prompt of this text should have at most, frame included."""
    return size_of(text) // BYTES_PER_TOKEN_AT_LEAST + FRAME_TOKENS
