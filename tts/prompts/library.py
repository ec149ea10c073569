"""Loads the templates of this folder, or the user's in their place, and fills their parts.

A template is a Jinja file with named blocks, one for each part of a prompt.  Values are inserted as text
and never read as templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tts.errors import UsageError
from tts.types import digest

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent
SUFFIX = ".jinja"


@dataclass(frozen=True, slots=True)
class Prompts:
    """The templates, as they are when this is made; `folder` holds the user's own, for those that it has."""

    folder: Path | str | None = None
    texts: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_folder()
        paths = (self._path(path.stem) for path in HERE.glob(f"*{SUFFIX}"))
        object.__setattr__(self, "texts", {path.stem: _read(path) for path in paths})
        for name in self.texts if self.folder is not None else ():
            self.template(name)

    def _check_folder(self) -> None:
        if self.folder is None:
            return
        place = Path(self.folder)
        names = sorted(path.stem for path in HERE.glob(f"*{SUFFIX}"))
        found = list(place.glob(f"*{SUFFIX}")) if place.is_dir() else []
        strange = [path.name for path in found if path.stem not in names]
        if strange or not found:
            told = f"{strange[0]} is no prompt" if strange else f"no prompts in {place}"
            raise UsageError(f"{told}; name a folder with any of {', '.join(n + SUFFIX for n in names)}")

    def part(self, name: str, block: str, **values: object) -> str:
        """Return one block of a template, filled.

        Raises:
            UsageError: the user's template lacks the block, or asks for a value that there is not.
        """
        template = self.template(name)
        if block not in template.blocks:
            raise UsageError(
                f"{self._path(name)} has no block {block!r}; the built-in one is {HERE / name}{SUFFIX}"
            )
        try:
            return "".join(template.blocks[block](template.new_context(values))).strip()
        except Exception as error:
            raise UsageError(f"{self._path(name)}, block {block}: {error}") from error

    def template(self, name: str) -> Template:
        """Return a template.

        Raises:
            UsageError: it cannot be read.
        """
        from jinja2 import TemplateError

        try:
            return _loaded(self.texts[name])
        except TemplateError as error:
            raise UsageError(f"the prompt {self._path(name)} cannot be read: {error}") from None

    def named(self, *names: str) -> dict[str, str]:
        """Return the texts of some templates, by name."""
        return {name: self.texts[name] for name in names}

    def digest(self, *names: str) -> str:
        """Return a short hash of some templates' text, for fingerprints."""
        return digest([self.texts[name] for name in names])[:12]

    def _path(self, name: str) -> Path:
        own = Path(self.folder) / f"{name}{SUFFIX}" if self.folder is not None else None
        return own if own is not None and own.is_file() else HERE / f"{name}{SUFFIX}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the prompt {path} cannot be read: {error}") from None


@cache
def _loaded(text: str) -> Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)
