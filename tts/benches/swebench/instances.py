"""SWE-bench's instances: what an agent may see of one, and the truth that only a grader is given."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tts.benches.swebench.recipes import Recipe, json_lines, read_recipe
from tts.errors import Infra, UsageError
from tts.types import Task

Row = Mapping[str, Any]

SUBSETS = ("full", "verified", "lite", "multimodal", "multilingual", "smith", "rebench")
"""The names of mini-swe-agent's data sets."""

DATASETS: Mapping[str, str] = {
    "full": "princeton-nlp/SWE-Bench",
    "verified": "princeton-nlp/SWE-Bench_Verified",
    "lite": "princeton-nlp/SWE-Bench_Lite",
    "multimodal": "princeton-nlp/SWE-Bench_Multimodal",
    "multilingual": "swe-bench/SWE-Bench_Multilingual",
    "smith": "SWE-bench/SWE-smith",
    "rebench": "nebius/SWE-rebench",
}
"""Their names at Hugging Face, as in mini-swe-agent."""

FILE_BYTES = 2 * 1024**3
"""The largest file of instances that is read."""

PUBLIC = frozenset({"instance_id", "repo", "base_commit", "problem_statement", "image_name", "docker_image"})
"""The fields that a task may be made of. Every other field, known or not, is on the truth's side."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a grader knows of an instance, and nobody else.

    `fail_to_pass` and `pass_to_pass` are test ids as the log parser gives them. `recipe` is None where the
    instance comes without one.
    """

    instance_id: str
    repo: str
    patch: str
    test_patch: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    version: str = ""
    recipe: Recipe | None = None


def load(subset: str, split: str) -> list[Row]:
    """Return the instances of a named subset, or of a file (json, jsonl, parquet) or a data set's folder.

    Raises:
        UsageError: no such name or path, or a row is not an instance; says the file and the place in it.
        Infra: a named data set could not be fetched.
    """
    path = Path(subset)
    if subset in DATASETS:
        rows = _numbered(_fetched(DATASETS[subset], split), f"{subset}/{split}")
    elif path.is_dir():
        rows = _numbered(_folder(path, split), str(path))
    elif path.is_file():
        rows = _file(path)
    else:
        known = ", ".join(SUBSETS)
        raise UsageError(f"no SWE-bench subset {subset!r}: neither a file or folder, nor one of {known}")
    return _checked(rows)


def chosen(rows: Sequence[Row], *, filter: str = "", slice: str = "", shuffle: bool = False) -> list[Row]:
    """Return the rows that mini-swe-agent's flags choose: shuffled first, then filtered, then sliced.

    `filter` is a regular expression that matches the beginning of an id; `slice` is `a:b` or `a:b:step`. A
    shuffle is always the same one.

    Raises:
        UsageError: an expression or a slice that cannot be read, or nothing is left.
    """
    left = list(rows)
    if shuffle:
        left.sort(key=lambda row: str(row["instance_id"]))
        random.Random(42).shuffle(left)
    pattern, part = _pattern(filter), _slice(slice)
    left = [row for row in left if pattern.match(str(row["instance_id"]))][part]
    if not left:
        some = ", ".join(str(row["instance_id"]) for row in rows[:3])
        raise UsageError(
            f"no instance is left of {len(rows)} after filter {filter!r} and slice {slice!r};"
            f" ids look like {some or 'nothing: the data set is empty'}"
        )
    return left


def sides(row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that a task may be made of, and those of the truth: the one place that decides."""
    public = {name: value for name, value in row.items() if name in PUBLIC}
    return public, {name: value for name, value in row.items() if name not in PUBLIC}


def task_of(row: Row, repos: Path | None = None) -> Task:
    """Return what an agent, a summarizer and a judge may see of an instance.

    The repository is a mirror below `repos` where there is one, else its address at GitHub.
    """
    public, _ = sides(row)
    image = public.get("image_name") or public.get("docker_image")
    return Task(
        id=public["instance_id"],
        prompt=public["problem_statement"],
        repo=_mirror(public["repo"], repos) or f"https://github.com/{public['repo']}",
        base_commit=public.get("base_commit") or "",
        metadata={"group": public["repo"]} | ({"image": image} if image else {}),
    )


def truth_of(row: Row, recipe: Recipe | None = None) -> Truth:
    """Return what only a grader may see; `recipe` stands in for the row's own.

    Raises:
        UsageError: a field of the truth is missing or of the wrong type.
    """
    name = str(row["instance_id"])
    _, hidden = sides(row)
    if recipe is None and hidden.get("local") is not None:
        recipe = read_recipe(hidden["local"], f"{name}: local")
    return Truth(
        instance_id=name,
        repo=str(row["repo"]),
        patch=_hidden_text(hidden, "patch", name),
        test_patch=_hidden_text(hidden, "test_patch", name),
        fail_to_pass=_tests(hidden, "FAIL_TO_PASS", name),
        pass_to_pass=_tests(hidden, "PASS_TO_PASS", name),
        version=str(hidden.get("version") or ""),
        recipe=recipe,
    )


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as problem:
        raise UsageError(f"filter {text!r} is no regular expression: {problem}") from problem


def _slice(text: str) -> slice:
    parts = text.split(":")
    if not text:
        return slice(None)
    if not 2 <= len(parts) <= 3 or not all(re.fullmatch(r"-?\d{0,9}", part) for part in parts):
        raise UsageError(f"slice {text!r} is not of the form a:b, such as 0:5")
    try:
        numbers = [int(part) if part else None for part in parts]
    except ValueError as problem:
        raise UsageError(f"slice {text!r} is not of the form a:b, such as 0:5") from problem
    if numbers[2:] == [0]:
        raise UsageError(f"slice {text!r} has a step of 0")
    return slice(*numbers)


def _mirror(repo: str, repos: Path | None) -> str:
    """Return the local mirror of `owner/name`, "" where there is none."""
    if repos is None or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or ".." in repo:
        return ""
    flat = repo.replace("/", "__")
    places = (repos / f"{name}{end}" for name in (flat, repo) for end in ("", ".git"))
    return next((str(place.resolve()) for place in places if _is_repository(place)), "")


def _is_repository(place: Path) -> bool:
    return (place / ".git").exists() or ((place / "HEAD").is_file() and (place / "objects").is_dir())


def _numbered(rows: Iterable[Any], source: str) -> Iterator[tuple[str, Any]]:
    return ((f"{source}: row {number}", row) for number, row in enumerate(rows, 1))


def _file(path: Path) -> Iterator[tuple[str, Any]]:
    if path.stat().st_size > FILE_BYTES:
        raise UsageError(f"{path}: larger than {FILE_BYTES} bytes")
    if path.suffix == ".jsonl":
        return json_lines(path)
    if path.suffix == ".json":
        return _numbered(_json(path), str(path))
    if path.suffix == ".parquet":
        return _numbered(_parquet(path), str(path))
    raise UsageError(f"{path}: instances are read from .json, .jsonl and .parquet")


def _json(path: Path) -> list[Any]:
    """Return a list's entries, or the values of an object by id; a value without an id is given its key."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as problem:
        raise UsageError(f"{path}: no JSON: {problem}") from problem
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [{"instance_id": k, **row} if isinstance(row, dict) else row for k, row in value.items()]
    raise UsageError(f"{path}: a list of instances, or an object of them by id, not {type(value).__name__}")


def _parquet(path: Path) -> list[Any]:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    except ImportError as problem:
        raise UsageError(
            f"{path}: parquet needs the extra swebench: pip install 'tts-scaling[swebench]'"
        ) from (problem)
    try:
        return cast("list[Any]", parquet.read_table(path).to_pylist())
    except (ArrowException, OSError) as problem:
        raise UsageError(f"{path}: no parquet: {str(problem).splitlines()[0]}") from problem


def _folder(path: Path, split: str) -> Iterable[Any]:
    datasets = _datasets()
    try:
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            found = datasets.load_from_disk(str(path))
            return cast("Iterable[Any]", found[split] if isinstance(found, dict) else found)
        return cast("Iterable[Any]", datasets.load_dataset(str(path), split=split))
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as problem:
        raise UsageError(f"{path}: no data set with a split {split!r}: {problem}") from problem


def _fetched(name: str, split: str) -> Iterable[Any]:
    datasets = _datasets()
    try:
        return cast("Iterable[Any]", datasets.load_dataset(name, split=split))
    except ValueError as problem:
        raise UsageError(f"data set {name} has no split {split!r}: {problem}") from problem
    except (OSError, datasets.exceptions.DatasetsError) as problem:
        raise Infra(f"data set {name} cannot be fetched: {problem}") from problem


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as problem:
        raise UsageError(
            "data sets need the extra swebench: pip install 'tts-scaling[swebench]'"
        ) from problem
    return datasets


def _checked(rows: Iterable[tuple[str, Any]]) -> list[Row]:
    found: dict[str, Row] = {}
    for where, row in rows:
        if not isinstance(row, Mapping):
            raise UsageError(f"{where}: an instance is an object, not {type(row).__name__}")
        _check(cast("Row", row), where)
        if row["instance_id"] in found:
            raise UsageError(f"{where}: a second instance {row['instance_id']}; keep one")
        found[row["instance_id"]] = cast("Row", row)
    return list(found.values())


def _check(row: Row, where: str) -> None:
    image = row.get("image_name") or row.get("docker_image")
    for name in ("instance_id", "repo", "problem_statement", "base_commit"):
        if name == "base_commit" and image and not row.get(name):
            continue  # its image holds the checkout
        if not isinstance(row.get(name), str) or (name != "problem_statement" and not row[name]):
            raise UsageError(f"{where}: {name} is a text, not {str(row.get(name, 'missing'))[:60]!r}")
    if not re.fullmatch(r"[\w.+-]+", row["instance_id"]) or row["instance_id"].startswith((".", "-")):
        raise UsageError(f"{where}: {row['instance_id'][:60]!r} is no instance_id: letters, digits, _ . + -")
    for name in ("FAIL_TO_PASS", "PASS_TO_PASS"):
        if row.get(name) is not None:
            _tests(row, name, where)


def _tests(row: Row, name: str, where: str) -> tuple[str, ...]:
    value = row.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as problem:
            raise UsageError(f"{where}: {name} is a list, or JSON text of one: {problem}") from problem
    if not isinstance(value, list) or not all(isinstance(test, str) for test in value):
        raise UsageError(f"{where}: {name} is a list of test ids, or JSON text of one")
    return tuple(cast("list[str]", value))


def _hidden_text(hidden: Row, name: str, where: str) -> str:
    value = hidden.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {name} is a text, not {str(hidden.get(name, 'missing'))[:60]!r}")
    return value
