"""SWE-bench's instances: loading, choosing, and which side of the wall each field falls on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tts.benches.swebench.instances import chosen, load, sides, task_of, truth_of
from tts.benches.swebench.recipes import recipes
from tts.errors import UsageError
from tts.types import Task

SECRET = "secret-"

SIDES = {
    "instance_id": "public",
    "repo": "public",
    "base_commit": "public",
    "problem_statement": "public",
    "image_name": "public",
    "docker_image": "public",
    "patch": "truth",
    "test_patch": "truth",
    "hints_text": "truth",
    "created_at": "truth",
    "version": "truth",
    "FAIL_TO_PASS": "truth",
    "PASS_TO_PASS": "truth",
    "environment_setup_commit": "truth",
    "difficulty": "truth",
    "image_assets": "truth",
    "local": "truth",
    "a_field_of_tomorrow": "truth",
}


def row(name: str = "me__pkg-1", **more: Any) -> dict[str, Any]:
    return {
        "instance_id": name,
        "repo": "me/pkg",
        "base_commit": "a" * 40,
        "problem_statement": "It breaks.",
        "patch": "gold",
        "test_patch": "tests",
        "FAIL_TO_PASS": '["t::a"]',
        "PASS_TO_PASS": ["t::b", "t::c"],
        "version": "1.0",
        **more,
    }


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_every_field_has_a_side_and_an_unknown_one_is_the_truths() -> None:
    public, hidden = sides(dict.fromkeys(SIDES, ""))
    assert dict.fromkeys(public, "public") | dict.fromkeys(hidden, "truth") == SIDES


def test_a_task_holds_nothing_of_the_truth() -> None:
    hidden = {name: SECRET + name for name, side in SIDES.items() if side == "truth"}
    task = task_of(row(**hidden, image_name="img:1"))
    assert SECRET not in repr(task)
    assert task == Task(
        id="me__pkg-1",
        prompt="It breaks.",
        repo="https://github.com/me/pkg",
        base_commit="a" * 40,
        metadata={"group": "me/pkg", "image": "img:1"},
    )


def test_the_truth_reads_lists_and_their_json_text() -> None:
    truth = truth_of(row(local={"python": "3.11", "test_cmd": "pytest", "install": ["true"]}))
    assert (truth.fail_to_pass, truth.pass_to_pass) == (("t::a",), ("t::b", "t::c"))
    assert truth.recipe is not None
    assert truth.recipe.install == ("true",)
    assert truth_of(row()).recipe is None


@pytest.mark.parametrize("name", ["me__pkg", "me/pkg", "me__pkg.git", "me/pkg.git"])
@pytest.mark.parametrize("bare", [True, False])
def test_a_local_mirror_stands_in_for_the_address(tmp_path: Path, name: str, bare: bool) -> None:
    place = tmp_path / name
    (place / ("objects" if bare else ".git/objects")).mkdir(parents=True)
    (place / ("HEAD" if bare else ".git/HEAD")).touch()
    assert task_of(row(), tmp_path).repo == str(place)
    assert task_of(row(repo="other/pkg"), tmp_path).repo == "https://github.com/other/pkg"
    assert task_of(row(repo="../me/pkg"), tmp_path).repo.startswith("https://")


def test_files_of_all_forms_are_read_alike(tmp_path: Path) -> None:
    rows = [row("me__pkg-1"), row("me__pkg-2")]
    jsonl = written(tmp_path / "rows.jsonl", *rows)
    (tmp_path / "list.json").write_text(json.dumps(rows))
    by_id = {r["instance_id"]: {k: v for k, v in r.items() if k != "instance_id"} for r in rows}
    (tmp_path / "dict.json").write_text(json.dumps(by_id))
    for path in (jsonl, tmp_path / "list.json", tmp_path / "dict.json"):
        assert [dict(r) for r in load(str(path), "test")] == rows


def test_parquet_and_folders_of_it_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = tmp_path / "data"
    folder.mkdir()
    rows = [row("me__pkg-1", PASS_TO_PASS='["t::b"]')]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "test.parquet")
    assert [dict(r) for r in load(str(folder / "test.parquet"), "test")] == rows
    (folder / "bad.parquet").write_text("no")
    with pytest.raises(UsageError, match="no parquet"):
        load(str(folder / "bad.parquet"), "test")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "rows.jsonl:2: no JSON"),
        ("[1]", "rows.jsonl:2: a line holds one JSON object, not list"),
        (json.dumps(row("me__pkg-1")), "rows.jsonl:2: a second instance me__pkg-1"),
        (json.dumps(row("x", repo=3)), "rows.jsonl:2: repo is a text, not '3'"),
        (json.dumps({"instance_id": "x"}), "rows.jsonl:2: repo is a text, not 'missing'"),
        (json.dumps(row("../x")), "rows.jsonl:2: '../x' is no instance_id"),
        (json.dumps(row("x", FAIL_TO_PASS=[1])), "rows.jsonl:2: FAIL_TO_PASS is a list of test ids"),
        (json.dumps(row("x", PASS_TO_PASS="[")), "rows.jsonl:2: PASS_TO_PASS is a list, or JSON text"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    path = written(tmp_path / "rows.jsonl", row())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError) as caught:
        load(str(path), "test")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_subset_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="verified, lite"):
        load("verfied", "test")
    (tmp_path / "rows.csv").touch()
    with pytest.raises(UsageError, match=r"\.jsonl and \.parquet"):
        load(str(tmp_path / "rows.csv"), "test")


def test_an_instance_without_a_commit_needs_an_image(tmp_path: Path) -> None:
    bare = {k: v for k, v in row().items() if k != "base_commit"}
    with pytest.raises(UsageError, match="base_commit is a text"):
        load(str(written(tmp_path / "a.jsonl", bare)), "test")
    (found,) = load(str(written(tmp_path / "b.jsonl", bare | {"image_name": "img"})), "test")
    assert task_of(found).base_commit == ""


def test_choosing_is_mini_swe_agents() -> None:
    ours = pytest.importorskip("minisweagent.run.benchmarks.swebench")
    rows = [row(f"{repo}__pkg-{n}") for n in range(9) for repo in ("b", "a")]
    for flags in (
        {"filter": "a__"},
        {"filter": ".*-[2-5]", "shuffle": True},
        {"slice": "2:5"},
        {"slice": ":-3", "filter": "b"},
        {"slice": "1::2", "shuffle": True},
    ):
        theirs = ours.filter_instances(
            rows,
            filter_spec=flags.get("filter", ""),
            slice_spec=flags.get("slice", ""),
            shuffle=flags.get("shuffle", False),
        )
        assert chosen(rows, **flags) == theirs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"filter": "("}, "no regular expression"),
        ({"slice": "a:b"}, "form a:b"),
        ({"slice": "3"}, "form a:b"),
        ({"slice": "::0"}, "step of 0"),
        ({"filter": "zzz"}, "ids look like me__pkg-1"),
        ({"slice": "5:"}, "ids look like me__pkg-1"),
    ],
)
def test_a_choice_that_leaves_nothing_says_so(flags: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        chosen([row()], **flags)  # type: ignore[arg-type]


def test_the_names_are_mini_swe_agents() -> None:
    theirs = pytest.importorskip("minisweagent.run.benchmarks.swebench")
    from tts.benches.swebench.instances import DATASETS, SUBSETS

    assert {k: v for k, v in theirs.DATASET_MAPPING.items() if k != "_test"} == dict(DATASETS)
    assert set(SUBSETS) == set(DATASETS)


def test_recipes_come_from_a_file_of_their_own(tmp_path: Path) -> None:
    told = {"instance_id": "x", "python": "3.11", "test_cmd": "pytest", "install": []}
    nested = {"instance_id": "y", "local": {"python": "3.9", "test_cmd": "t", "timeout": 5}}
    found = recipes(written(tmp_path / "r.jsonl", told, nested))
    assert (found["x"].python, found["y"].timeout) == ("3.11", 5.0)
    assert truth_of(row("x"), found["x"]).recipe == found["x"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"python": 3.11}, "r.jsonl:1: a recipe's python is a text"),
        ({"python": "../3"}, "python is a version such as 3.11"),
        ({"install": "pip"}, "install is a list of commands"),
        ({"test_cmd": ""}, "test_cmd is a text"),
        ({"eval_type": "x"}, "eval_type is pass_and_fail or fail_only"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"instance_id": None}, "no instance_id"),
    ],
)
def test_a_bad_recipe_is_named_by_file_and_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    told = {"instance_id": "x", "python": "3.11", "test_cmd": "pytest", "install": []} | change
    with pytest.raises(UsageError) as caught:
        recipes(written(tmp_path / "r.jsonl", told))
    assert says in str(caught.value)
