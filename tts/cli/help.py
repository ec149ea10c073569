"""Help in which the options of a long command stand in groups."""

from __future__ import annotations

from typing import Any

import typer.core


class Grouped(typer.core.TyperCommand):
    """A command whose help has its options under the panels that they name, those without one first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, group by group in the order of their first."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(record)
        for head, records in groups.items():
            if records:
                with formatter.section(head):
                    formatter.write_dl(records)
