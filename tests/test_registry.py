import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tts_strategies.pdr import PDR
from tts_strategies.race import Race
from tts_strategies.refine import Refine
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample
from tts_strategies.vote import Vote

from tts.errors import StrategyError, UsageError
from tts.pipeline import Pipeline
from tts.registry import estimator, load, plugins, resolve


def stages(text):
    return resolve(text).run.stages


def told(text):
    """Return the error's text."""
    with pytest.raises(StrategyError) as caught:
        resolve(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("single", (Sample(1),)),
        ("vote", (Sample(16), Vote())),
        ("vote@5", (Sample(5), Vote())),
        ("short-3@8", (Race(8, 3), Vote(ties="shortest"))),
        ("short", (Race(8, 3), Vote(ties="shortest"))),
        ("short-1", (Race(8, 1), Vote(ties="shortest"))),
        ("short@9", (Race(9, 3), Vote(ties="shortest"))),
        ("rtv@12", (Sample(12), RTV())),
        ("pdr@6", (Sample(6), Refine(6, priors="random"))),
        ("pdr-short@16", (PDR((16, 8, 4)), Vote())),
        ("pdr-short@3", (PDR((3, 1, 1)), Vote())),
        ("pdr-rtv@16", (Sample(16), RTV(keep=4), Refine(16), RTV())),
        ("pdr-rtv@3", (Sample(3), RTV(keep=3), Refine(3), RTV())),
        ("  rtv@4\n", (Sample(4), RTV())),
    ],
)
def test_a_preset_is_a_pipeline(text, expected):
    strategy = resolve(text)
    assert strategy.run.stages == expected
    assert strategy.name == strategy.run.name == text.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sample(16)", (Sample(16),)),
        ("sample(n=16)", (Sample(16),)),
        ("sample(16) | rtv", (Sample(16), RTV())),
        ("rtv|vote", (RTV(), Vote())),
        ("rtv(keep=4, group=8, votes=2)", (RTV(keep=4, group=8, votes=2),)),
        ("rtv(4,8)", (RTV(4, 8),)),
        ("rtv(merge=None)", (RTV(merge=None),)),
        ("vote(same=number, ties='first')", (Vote(same="number", ties="first"),)),
        ('vote(same="text")', (Vote(same="text"),)),
        ("sample(2) | (refine(3, priors=single) | vote())", (Sample(2), Refine(3, priors="single"), Vote())),
        ("((sample( 1_000 )))", (Sample(1000),)),
        ("race(8, m=2, halt=arrival)", (Race(8, 2, "arrival"),)),
        (" | ".join(["vote()"] * 200), (Vote(),) * 200),
    ],
)
def test_a_text_of_stages_is_a_pipeline(text, expected):
    assert stages(text) == expected
    assert resolve(text).name == text


def test_nested_pipelines_are_written_in_brackets_and_read_as_a_row():
    nested = Pipeline(Pipeline(Sample(2), Vote()), RTV())
    assert str(nested) == "(sample(2) | vote()) | rtv()"
    assert stages(str(nested)) == (Sample(2), Vote(), RTV())


@pytest.mark.parametrize("name", sorted(plugins("tts.presets")))
def test_every_preset_written_out_reads_as_itself(name):
    strategy = resolve(name)
    assert strategy.text == str(strategy.run)
    assert stages(strategy.text) == strategy.run.stages
    assert resolve(strategy.text).text == strategy.text


small = st.integers(1, 9)
any_stage = st.one_of(
    st.builds(Sample, small),
    st.builds(
        lambda m, extra, halt: Race(m + extra, m, halt), small, small, st.sampled_from(("length", "arrival"))
    ),
    st.builds(
        Vote,
        st.sampled_from((None, "exact", "text", "number", "patch")),
        st.sampled_from(("random", "shortest", "first")),
    ),
    st.builds(
        RTV,
        small,
        st.integers(2, 9),
        small,
        small,
        st.integers(0, 3),
        st.sampled_from((None, "exact", "text")),
    ),
    st.builds(
        Refine,
        small,
        st.sampled_from(("selected", "single", "random")),
        small,
        st.sampled_from(("new", "all")),
    ),
)


@given(st.lists(any_stage, min_size=1, max_size=5))
@settings(max_examples=100)
def test_every_pipeline_written_out_reads_as_itself(row):
    pipeline = Pipeline(*row)
    assert stages(str(pipeline)) == pipeline.stages


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "sample(4) | vot()",
            ["column 13", "no stage 'vot'", "did you mean 'vote'?", "race, refine, ", ", sample"],
        ),
        ("Sample(3)", ["column 1", "did you mean 'sample'?"]),
        ("xyz(3)", ["column 1", "no stage 'xyz'", "there is ", "pdr, race, "]),
        ("rvt@4", ["no preset 'rvt'", "did you mean 'rtv'?", "pdr, pdr-rtv, pdr-short, ", ", short, "]),
        ("", ["empty", "pdr-rtv"]),
        ("sample(4) || vote()", ["column 12", "sample(16) | rtv(keep=4)"]),
        ("sample(16) | rtv(keep=4", ["column 17"]),
        ("sample()", ["column 1", "'n'", "takes (n)"]),
        ("sample(2) | sample(1, 2)", ["column 13", "too many", "takes (n)"]),
        ("sample(2) | rtv(kep=1)", ["column 13", "'kep'", "keep, group, votes"]),
        ("sample(0)", ["column 1", "1 or more, not 0"]),
        ("sample(2) | race(2, 3)", ["column 13", "1 <= m <= k", "k=2 and m=3"]),
        ("vote(same=nope)", ["column 1", "'nope'", "exact, text, number, math, patch"]),
        ("vote(ties=x)", ["'random'", "'shortest'", "'first'", "'x'"]),
        ("refine(4, priors=x)", ["'selected'", "'single'", "'random'", "'x'"]),
        ("rtv(merge=nope)", ["'nope'", "exact, text, number, math, patch"]),
        ("rtv(tie_rounds=-1)", ["tie_rounds=-1"]),
        ("sample(4), vote()", ["column 1", "expected a stage"]),
        ("[sample(4)]", ["expected a stage"]),
        ("sample(4) & vote()", ["expected a stage"]),
        ("vote@1.5", ["expected a stage"]),
        ("single@3", ["takes no number", "write 'single'"]),
        ("single-3", ["takes no number", "write 'single'"]),
        ("short-9@8", ["'short-9@8'", "1 <= m <= k"]),
        ("vote@0", ["'vote@0'", "1 or more"]),
        ("sample(4) |", ["column 12"]),
        ("sample(n=1, n=2)", ["column 15", "n is given twice"]),
        ("sample(4, **{'x': 1})", ["column 13", "by its name"]),
        ("sample(1.5)", ["column 8", "a whole number, not 1.5"]),
        ("sample(True)", ["column 8", "a whole number, not True"]),
        ("sample('x')", ["column 8", "a whole number, not 'x'"]),
        ("vote(same=3)", ["column 11", "a word", "not 3"]),
        ("rtv(merge=3)", ["column 11", "or None, not 3"]),
        ("sample({[]: 1})", ["column 8", "expected a number"]),
        ("vote(same='text') # | rtv()", ["column 19"]),
        ("(sample(3)\n| nope())", ["column 14", "no stage 'nope'"]),
        ("ｖｏｔｅ() | x()", ["column 10", "no stage 'x'"]),
        ("sample", ["no preset 'sample'", "the stage 'sample' is written sample("]),
    ],
)
def test_an_error_points_at_the_place_and_names_the_choices(text, parts):
    message = told(text)
    assert [part for part in parts if part not in message] == [], message


def test_stages_may_stand_on_lines_of_their_own():
    assert stages("sample(4)\n| vote()\n| rtv()") == (Sample(4), Vote(), RTV())


BOMBS = ("print('run')", "open('/tmp/x', 'w')", "__import__('os').getpid()", "exec('1')")


@pytest.mark.parametrize(
    "text",
    [
        *BOMBS,
        *(f"sample({bomb})" for bomb in BOMBS),
        *(f"vote(same={bomb})" for bomb in BOMBS),
        "__import__('os').system('true') | vote()",
        "().__class__.__bases__",
        "sample.__class__(3)",
        "__class__",
        "__init__()",
        "tts.registry",
        "lambda: 1",
        "sample(9**9**9)",
        "sample(n:=3)",
        "sample(*[4])",
        "f'{1}'",
        "sample(4)[0]",
        "sample(4)()",
        "[x for x in sample(4)]",
        "sample(4) if 1 else vote()",
        "await sample(4)",
        "sample(4)\x00",
        "\ud800",
        "import os",
        "sample(4); vote()",
    ],
)
def test_code_is_refused_and_never_run(text, capsys):
    assert told(text)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "text",
    [
        "(" * 150 + "nope()" + ")" * 150,
        "(" * 5000 + "vote()" + ")" * 5000,
        "sample(" + "[" * 5000 + "]" * 5000 + ")",
        "sample(" + "9" * 5000 + ")",
        "x" + ".a" * 4000,
        ("sample(" + "-" * 20_000 + "1)"),
        ("not " * 50_000 + "x"),
        ("vote@" + "9" * 5000),
        ("short-" + "9" * 5000 + "@8"),
        ("a" * 1_000_000),
        ("sample('" + "a" * 1_000_000 + "')"),
        ("|".join(["vote()"] * 50_000)),
    ],
    ids=range(12),
)
def test_a_hostile_text_gives_a_short_line(text):
    assert len(told(text)) < 12_000
    if not any(c in text for c in "([.") or len(text) > 15_000:
        assert len(told(text)) < 1000


signs = "()|=,{}[]:@*#é'_.\\\n "
words = st.sampled_from(
    [*signs, "sample", "vote", "rtv", "keep", "1", "-1", "2.5", "**", "None", "lambda", "'x'"]
)


@given(st.lists(words, max_size=12).map("".join) | st.text(max_size=30))
@example("sample({[]:1})")
@settings(max_examples=300, derandomize=True)
def test_any_text_is_a_strategy_or_a_clear_error(text):
    try:
        read = stages(text)
    except StrategyError:
        assert told(text)
    else:
        assert stages(str(Pipeline(*read))) == read


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("pass@5", {"k": 5}),
        ("pass^5", {"k": 5}),
        ("best@8", {"k": 8}),
        ("vote@9", {"k": 9}),
        (" short-3@9 ", {"m": 3, "k": 9}),
    ],
)
def test_an_estimator_has_the_numbers_of_its_name(text, made):
    found = estimator(text)
    assert {name: getattr(found, name) for name in made} == made


@pytest.mark.parametrize(
    "text", ["pass", "pass@", "pass@x", "pass@-1", "pass^^5", "best^8", "short@9", "rtv@8", ""]
)
def test_what_fits_no_pattern_is_no_estimator(text):
    assert estimator(text) is None


def test_an_estimator_of_impossible_numbers_is_refused():
    for text in ("pass@0", "short-9@3", "short-0@3"):
        with pytest.raises(UsageError):
            estimator(text)


def test_an_estimator_of_a_hostile_number_is_none():
    assert estimator("pass@" + "9" * 5000) is None


def test_pass_at_and_pass_hat_are_not_the_same():
    assert type(estimator("pass@2")) is not type(estimator("pass^2"))


def test_a_performer_is_loaded_by_name():
    assert load("tts.judges", "evidence")().fingerprint
    with pytest.raises(UsageError, match="no judge 'evidenc'; did you mean 'evidence'"):
        load("tts.judges", "evidenc")


def installed(folder, package, entries, module=""):
    """Lay a package down as an installer would, with its entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    (folder / f"{package}.py").write_text(module)


def python(folder, code):
    """Return what a new interpreter prints that finds the packages in `folder`."""
    path = os.pathsep.join([str(folder), *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RESOLVE = """
import sys
from tts.errors import UsageError
from tts.registry import resolve
for text in {texts!r}:
    try:
        print(resolve(text).text)
    except UsageError as error:
        print(type(error).__name__, error)
"""

PLUGIN = """
from dataclasses import dataclass
from tts.pipeline import Pipeline

@dataclass(frozen=True)
class Keep:
    how_many: int = 1
    async def __call__(self, pool, scope):
        return pool

def two(n: int = 2, m: int = 1):
    return Pipeline(Keep(n), Keep(m))
"""


def test_a_stranger_registers_stages_and_presets_as_the_built_ins_do(tmp_path):
    entries = "[tts.stages]\nkeep = alpha:Keep\n[tts.presets]\ntwo-step = alpha:two\n"
    installed(tmp_path, "alpha", entries, PLUGIN)
    printed = python(
        tmp_path, RESOLVE.format(texts=["sample(2) | keep(3)", "two-step-4@5", "two-step", "kep()"])
    )
    assert printed.splitlines()[:3] == [
        "sample(2) | keep(how_many=3)",
        "keep(how_many=5) | keep(how_many=4)",
        "keep(how_many=2) | keep()",
    ]
    assert "did you mean 'keep'?" in printed


def test_two_packages_that_register_one_name_are_named(tmp_path):
    for package in ("alpha", "beta"):
        installed(tmp_path, package, f"[tts.stages]\nkeep = {package}:Keep\n", PLUGIN)
    printed = python(tmp_path, RESOLVE.format(texts=["sample(2)"]))
    assert printed.startswith("UsageError")
    assert all(part in printed for part in ("alpha:Keep", "beta:Keep", "'keep'", "uninstall"))


def test_the_same_entry_point_seen_twice_is_no_conflict(tmp_path):
    installed(tmp_path / "one", "alpha", "[tts.stages]\nkeep = alpha:Keep\n", PLUGIN)
    installed(tmp_path / "two", "alpha_copy", "[tts.stages]\nkeep = alpha:Keep\n")
    path = os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")])
    assert python(path, RESOLVE.format(texts=["keep()"])) == "keep()"


@pytest.mark.parametrize(
    "module",
    ["import nowhere_at_all", "Kep = 1", ("this is no Python")],
)
def test_a_plugin_that_cannot_be_loaded_is_named(tmp_path, module):
    installed(tmp_path, "alpha", "[tts.stages]\nkeep = alpha:Keep\n", module)
    printed = python(tmp_path, RESOLVE.format(texts=["sample(1)", "keep()"]))
    assert printed.splitlines()[0] == "sample(1)"
    assert "'keep' (alpha:Keep) cannot be loaded" in printed


def test_the_built_ins_are_registered_in_the_package_itself():
    root = Path(__file__).parents[1]
    declared = (root / "pyproject.toml").read_text()
    for group in ("tts.stages", "tts.presets", "tts.estimators", "tts.judges", "tts.summarizers"):
        assert f'[project.entry-points."{group}"]' in declared
        assert all(load(group, name) is not None for name in plugins(group))
