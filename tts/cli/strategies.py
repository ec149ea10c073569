"""`tts strategies`: what can be written after `-s`, and who can play which role."""

from __future__ import annotations

from tts.cli.options import Json

EXAMPLES = """\b
Examples:
  tts strategies
  tts strategies --json
"""


def strategies(as_json: Json = False) -> None:
    """List what can be chosen by name.

    Stages with their parameters, presets, estimators, judges, summarizers and agents.
    """
    import sys

    from tts.cli.console import as_json as json_text
    from tts.cli.console import show
    from tts.report.catalogue import catalogue, catalogue_view

    found = catalogue()
    if as_json:
        sys.stdout.write(json_text(found))
    else:
        show(catalogue_view(found))
