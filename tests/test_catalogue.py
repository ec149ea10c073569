"""What `tts strategies` and the site say of each method comes from its docstring."""

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tts.cli.main import app
from tts.report.catalogue import catalogue, described, use_of

HOOKS = Path(__file__).parents[1] / "docs" / "hooks.py"
STAGES = catalogue()["stages"]


@pytest.mark.parametrize("entry", STAGES, ids=lambda entry: entry["name"])
def test_every_stage_says_what_it_needs_and_costs_and_when_to_use_it(entry):
    assert "error" not in entry
    for told in (entry["needs"], entry["costs"], entry["use"]):
        assert told.endswith(".")
        assert "Costs:" not in told
        assert "Use it:" not in told


def test_the_lines_are_read_and_left_out_of_the_description():
    class Stage:
        """Does it.

        With `n` in a row.

        Needs: this,
            and that.
        Costs: nothing: it is free.
        Use it: never.
        """

    assert use_of(Stage) == {
        "needs": "this, and that.",
        "costs": "nothing: it is free.",
        "use": "never.",
    }
    assert described(Stage) == "Does it.\n\nWith `n` in a row."
    assert use_of(int) == {"needs": "", "costs": "", "use": ""}


def test_the_command_tells_them_and_the_sources():
    shown = CliRunner().invoke(app, ["strategies"]).stdout
    found = json.loads(CliRunner().invoke(app, ["strategies", "--json"]).stdout)
    vote = next(entry for entry in found["stages"] if entry["name"] == "vote")
    assert vote["sources"] == ["2203.11171"]
    assert vote["needs"] == "answers."
    assert "Source: arXiv 2203.11171" in shown
    assert shown.count("Use it:") == len(STAGES)


@pytest.mark.skipif(not HOOKS.is_file(), reason="the site is not part of the wheel; run from the checkout")
def test_the_site_has_a_row_a_method():
    spec = importlib.util.spec_from_file_location("hooks", HOOKS)
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    rows = [line for line in hooks.strategies().splitlines() if line.startswith("| [`")]
    assert [row.split("`")[1] for row in rows] == [entry["name"] for entry in STAGES]
    assert all(row.count(" | ") == 4 for row in rows)
    vote = next(row for row in rows if "`vote`" in row)
    assert "nothing beyond its rollouts" in vote
    assert "https://arxiv.org/abs/2203.11171" in vote
