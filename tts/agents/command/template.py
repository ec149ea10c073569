"""A command as the user writes it, and its arguments for one attempt."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter

from tts.errors import UsageError
from tts.hostile import size_of

PLACEHOLDERS = ("prompt", "prompt_file", "workspace", "index", "seed")
LONGEST_ARGUMENT = 128 * 1024 - 1
"""In bytes: Linux starts no program with a longer one."""


@dataclass(frozen=True, slots=True)
class Template:
    """A command line with placeholders, split into words as a shell would, before anything is filled in.

    So a prompt is one argument, or a part of one, whatever it holds; no shell reads it. `{{` and `}}` stand
    for braces.

    >>> Template("fix --task={prompt} 'a b'").filled({"prompt": "$(rm -r /)"})
    ['fix', '--task=$(rm -r /)', 'a b']
    """

    text: str
    words: tuple[str, ...] = field(init=False)
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        words = _split(self.text)
        names = [name for word in words for name in _names(word, self.text)]
        if set(_names(words[0], self.text)) - {"workspace"}:
            raise UsageError(f"the command {self.text!r} begins with a placeholder; begin with the program")
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "names", frozenset(names))

    @property
    def reads_stdin(self) -> bool:
        """Whether the prompt goes to standard input, since the command does not say where else."""
        return not self.names & {"prompt", "prompt_file"}

    @property
    def program(self) -> str:
        """The first word."""
        return self.words[0]

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """Return the arguments, the program first.

        Raises:
            UsageError: one is too long for the system.
        """
        arguments = [_passable(word.format_map(values)) for word in self.words]
        longest = max(map(size_of, arguments))
        if longest > LONGEST_ARGUMENT:
            raise UsageError(
                f"an argument of {longest} bytes is longer than the system takes ({LONGEST_ARGUMENT}); "
                "give the prompt as {prompt_file} instead of {prompt}"
            )
        return arguments


def _passable(argument: str) -> str:
    """Return an argument as the system takes it: without the null character and lone surrogates."""
    return argument.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _split(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"the command {text!r} cannot be split into words: {error}") from None
    if not words or not words[0]:
        raise UsageError("the command is empty; write it as in 'mytool {prompt_file}'")
    return tuple(words)


def _names(word: str, text: str) -> list[str]:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    names: list[str] = []
    try:
        for _, name, form, conversion in Formatter().parse(word):
            if name is None:
                continue
            if name not in PLACEHOLDERS or form or conversion:
                raise UsageError(
                    f"there is no placeholder {{{name}}} in a command; the known ones are {known}, "
                    "and {{ }} stand for braces"
                )
            names.append(name)
    except ValueError as error:
        raise UsageError(
            f"the command {text!r}: {error}; the placeholders are {known}, and {{{{ }}}} stand for braces"
        ) from None
    return names
