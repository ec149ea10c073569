from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.judges.evidence import EvidenceJudge, is_test_file
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.types import Candidate, Rollout, Step, Task

ISSUE = "python -m tests tests/test_issue.py"
SUITE = "python -m tests tests"
TASK = Task("demo-1", "Wrong boundary", metadata={"visible": ["tests/test_issue.py::test_a"]})
EDIT = Step(action="edit cal/days.py:34 '<' -> '<='", observation="edited", returncode=0)


def patch(*files: str, lines: int = 1) -> str:
    def one(path: str) -> str:
        body = "".join(f"-a{i}\n+b{i}\n" for i in range(lines))
        return (
            f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,{lines} +1,{lines} @@\n{body}"
        )

    return "".join(map(one, files or ("cal/days.py",)))


def run(command: str, passed: int, failed: int = 0) -> Step:
    return Step("", command, f"{passed} passed, {failed} failed", 1 if failed else 0)


def candidate(key, *steps, **fields):
    rollout = Rollout(**{"key": key, "patch": patch(), **fields})
    return Candidate(rollout, anyio.run(ExtractiveSummarizer().summarize, TASK, rollout, steps))


def judged(*shown, task=TASK):
    [verdict] = anyio.run(EvidenceJudge().compare, task, shown)
    return verdict


def test_a_captured_pass_beats_a_claimed_one():
    claims = candidate("claims", EDIT, Step(thought="All tests pass."), answer="Fixed. All 50 tests pass.")
    shows = candidate("shows", EDIT, run(ISSUE, 2))
    verdict = judged(claims, shows)
    assert verdict.preferred == "shows"
    assert verdict.reason == "correctness (claims: 1; shows: 3)"
    assert verdict.shown == ("claims", "shows")


@pytest.mark.parametrize(
    "forged",
    [
        Step(action=ISSUE, observation="9 passed, 0 failed"),
        Step(action="echo '9 passed, 0 failed'", observation="9 passed, 0 failed", returncode=0),
        Step(
            action="python check.py", observation="PASSED tests/test_issue.py::test_a\n9 passed", returncode=0
        ),
    ],
)
def test_forged_evidence_is_worth_no_more_than_none(forged):
    assert judged(candidate("forged", EDIT, forged), candidate("none", EDIT)).preferred is None


@pytest.mark.parametrize(
    ("criterion", "worse", "better"),
    [
        ("disqualification", candidate("w", EDIT, run(SUITE, 9), patch=""), candidate("b", EDIT)),
        ("disqualification", candidate("w", run(SUITE, 9), patch="", status="limit"), candidate("b")),
        ("disqualification", candidate("w", run(SUITE, 9), patch=patch("tests/test_a.py")), candidate("b")),
        (
            "disqualification",
            candidate(
                "w", run(SUITE, 9), patch=patch() + patch("tests/test_a.py").replace("-a0", "-def test_a():")
            ),
            candidate("b"),
        ),
        ("correctness", candidate("w", run(ISSUE, 2), EDIT), candidate("b", EDIT, run(ISSUE, 2))),
        ("correctness", candidate("w", EDIT, run(ISSUE, 1, 1)), candidate("b", EDIT)),
        (
            "correctness",
            candidate("w", EDIT, run(ISSUE, 2), run(SUITE, 8, 1)),
            candidate("b", EDIT, run(SUITE, 9)),
        ),
        (
            "correctness",
            candidate("w", EDIT, run("pytest tests/test_x.py", 5)),
            candidate("b", EDIT, run(ISSUE, 1)),
        ),
        (
            "completeness",
            candidate("w", EDIT, run(ISSUE, 2)),
            candidate("b", EDIT, run(ISSUE, 2), run(SUITE, 9)),
        ),
        (
            "validity of the verification",
            candidate("w", EDIT, run(ISSUE, 2)),
            candidate("b", run(ISSUE, 0, 2), EDIT, run(ISSUE, 2)),
        ),
        ("test results", candidate("w", EDIT, run(SUITE, 8)), candidate("b", EDIT, run(SUITE, 9))),
        ("scope of the fix", candidate("w", EDIT, patch=patch("a.py", "b.py")), candidate("b", EDIT)),
        ("scope of the fix", candidate("w", EDIT, patch=patch(lines=4)), candidate("b", EDIT)),
        ("scope of the fix", candidate("w", EDIT, patch=patch("a.py", "tests/t.py")), candidate("b", EDIT)),
        (
            "execution evidence",
            candidate("w", EDIT, Step("", "python x.py", "boom", 1)),
            candidate("b", EDIT),
        ),
    ],
)
def test_each_criterion_decides_in_its_turn(criterion, worse, better):
    for shown in ([worse, better], [better, worse]):
        verdict = judged(*shown)
        assert verdict.preferred == "b"
        assert verdict.reason.startswith(criterion + " (")


def test_without_named_tests_the_last_captured_run_counts():
    task = replace(TASK, metadata={})
    shows, fails = candidate("shows", EDIT, run("pytest", 3)), candidate("fails", EDIT, run("pytest", 3, 1))
    assert judged(fails, shows, task=task).preferred == "shows"


def test_it_abstains_on_equal_evidence_and_says_so():
    verdict = judged(candidate("a", EDIT), candidate("b", EDIT))
    assert verdict.preferred is None
    assert verdict.reason == "the captured evidence of 2 candidates is equal"


def test_one_or_no_candidate():
    assert judged(candidate("a")).preferred == "a"
    assert judged().preferred is None


def test_n_equal_verdicts():
    async def three():
        return await EvidenceJudge().compare(TASK, [shows, none], n=3)

    shows, none = candidate("a", EDIT, run(ISSUE, 1)), candidate("b", EDIT)
    first, second, third = anyio.run(three)
    assert first == second == third
    assert first.preferred == "a"


def test_an_answer_without_a_patch_is_an_output():
    answer = candidate("a", patch=None, answer="42", status="limit")
    assert judged(answer, candidate("b", patch=None, answer=" ")).preferred == "a"


def test_what_is_a_test_file():
    assert all(map(is_test_file, ["tests/a.py", "x/test_b.py", "x/b_test.go", "conftest.py", "a.spec.ts"]))
    assert not any(map(is_test_file, ["latest/a.py", "contest.py", "x/attest_b.py", "src/testable.py"]))


BAD_SCRIPT = Step("", "python x.py", "boom", 1)
SAID_ONLY = Step(action=ISSUE, observation="9 passed")
RUNS = (run(ISSUE, 2), run(ISSUE, 1, 1), run(SUITE, 9), run(SUITE, 8, 1))
steps = st.lists(st.sampled_from([EDIT, *RUNS, BAD_SCRIPT, SAID_ONLY]), max_size=5)
patches = st.sampled_from(["", patch(), patch("a.py", "b.py"), patch("tests/test_a.py"), patch(lines=3)])
trajectories = st.lists(st.tuples(steps, patches), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(trajectories=trajectories, data=st.data())
def test_neither_order_nor_names_matter(trajectories, data):
    group = [candidate(f"k{i}", *s, patch=p) for i, (s, p) in enumerate(trajectories)]
    order = data.draw(st.permutations(range(len(group))))
    first = judged(*group)
    assert judged(*(group[i] for i in order)).preferred == first.preferred
    renamed = [
        Candidate(replace(c.rollout, key=f"z{order[i]}"), replace(c.summary, rollout=f"z{order[i]}"))
        for i, c in enumerate(group)
    ]
    expected = None if first.preferred is None else f"z{order[int(first.preferred[1:])]}"
    assert judged(*renamed).preferred == expected


@settings(max_examples=60, deadline=None)
@given(trajectories=trajectories, words=st.text(max_size=200), data=st.data())
def test_claims_never_change_the_verdict(trajectories, words, data):
    group = [candidate(f"k{i}", *s, patch=p) for i, (s, p) in enumerate(trajectories)]
    at = data.draw(st.integers(0, len(group) - 1))
    steps_, patch_ = trajectories[at]
    boast = Step(thought=f"All 999 tests pass. {words}", observation=f"999 passed\n{words}")
    louder = candidate(f"k{at}", *steps_, boast, patch=patch_, answer=f"Fixed and verified. {words}")
    told = replace(louder.summary, verified=("all tests pass",), claims=(words,), final_state=words)
    for summary in (louder.summary, told):
        changed = [*group[:at], replace(louder, summary=summary), *group[at + 1 :]]
        assert judged(*changed).preferred == judged(*group).preferred
