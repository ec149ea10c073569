"""What is written is read back the same, others' own readers accept it, and pools and exports keep it."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.agents.recorded import RecordedAgent
from tts.cli.importing import import_
from tts.cli.main import call
from tts.errors import UsageError
from tts.experiment import Experiment
from tts.formats import atif, leaderboard, mini, pool, preds
from tts.formats.files import parsed
from tts.formats.recorded import recorded
from tts.formats.sniff import read
from tts.replay.recorded import read_pool
from tts.run import Run
from tts.testing import ScriptedSummarizer
from tts.types import Grade, Rollout, Step, Summary, Task, Usage, Verdict

DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-1\n+2\n"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
amounts = st.integers(0, 10**9)
seconds = st.floats(0, 1e9, allow_subnormal=False)
usages = st.builds(
    Usage,
    calls=st.integers(0, 5),
    input_tokens=amounts,
    cached_input_tokens=amounts,
    cache_write_tokens=amounts,
    output_tokens=amounts,
    reasoning_tokens=amounts,
    known_usd=st.floats(0, 1e6, allow_subnormal=False),
    unpriced_calls=st.integers(0, 2),
    retries=st.integers(0, 2),
    estimated=st.booleans(),
)
steps = st.lists(
    st.builds(
        Step,
        thought=texts,
        action=texts,
        observation=texts,
        returncode=st.none() | st.integers(-255, 255),
        usage=usages,
        seconds=seconds,
        at=seconds,
    ),
    max_size=4,
)
rollouts = st.builds(
    Rollout,
    status=st.sampled_from(["finished", "failed", "limit"]),
    answer=st.none() | texts,
    patch=st.none() | texts,
    usage=usages,
    seconds=seconds,
    length=st.none() | seconds,
    thought=st.booleans(),
    signals=st.dictionaries(st.sampled_from(["logprob", "share"]), st.floats(-1e6, 1e6), max_size=2),
    error=texts,
)
messages = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "developer"]), "content": texts})
extras = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.lists(messages, min_size=1, max_size=3),
        "model": texts.filter(bool),
        "exit_status": texts.filter(bool),
        "mini_version": texts.filter(bool),
        "key": texts,
        "priors": st.lists(texts, max_size=2),
    },
)
attempts = st.builds(
    lambda task_id, rollout, steps, sample, agent, extra: recorded(
        task_id, rollout, steps, sample=sample, agent=agent, extra=extra
    ),
    texts,
    rollouts,
    steps,
    st.integers(0, 1_000),
    texts,
    extras,
)


def through_json(document):
    return parsed(json.dumps(document).encode(), "document")


@pytest.mark.parametrize("form", [atif, mini])
@settings(max_examples=60, deadline=None)
@given(found=attempts)
def test_what_is_written_is_read_back_the_same(form, found):
    assert form.read(through_json(form.document(found)), Path("x.json")) == found


@settings(max_examples=25, deadline=None)
@given(patches=st.dictionaries(texts.filter(bool), st.none() | texts, max_size=5))
def test_predictions_are_read_back_the_same(tmp_path_factory, patches):
    for name in ("preds.json", "all_preds.jsonl"):
        path = tmp_path_factory.mktemp("preds") / name
        preds.write(path, patches, "m")
        back = preds.read(path.read_bytes(), name)
        assert {one.task_id: one.rollout.patch for one in back} == {k: v or "" for k, v in patches.items()}


@settings(max_examples=40, deadline=None)
@given(found=attempts)
def test_the_inspector_of_mini_swe_agent_shows_what_is_written(found):
    inspector = pytest.importorskip("minisweagent.run.utilities.inspector")
    told = through_json(mini.document(found))["messages"]
    shown = [inspector.get_content_string(m) for page in inspector._messages_to_steps(told) for m in page]
    assert len(shown) == len(told)
    for step in found.steps:
        assert not step.thought or any(step.thought in text for text in shown)
        assert not step.action or any(step.action in text for text in shown)


def test_the_inspector_of_mini_swe_agent_loads_a_file_that_is_written(tmp_path):
    inspector = pytest.importorskip("minisweagent.run.utilities.inspector")
    found = recorded("t", Rollout(patch=DIFF), [Step("Look.", "ls", "x.py", 0), Step("Done.", "submit")])
    path = tmp_path / "t.traj.json"
    path.write_text(json.dumps(mini.document(found)), encoding="utf-8")
    shown = inspector.TrajectoryInspector([path])
    assert shown.n_steps == 3
    assert [m.get("role") for m in shown.messages] == ["assistant", "tool", "assistant", "exit"]
    assert shown.messages[-1]["extra"] == {"exit_status": "Submitted", "submission": DIFF}


def test_atif_forbids_what_it_does_not_name():
    body = atif.document(recorded("t", Rollout(), [Step("a", "b", "c", 0)]))
    assert atif.checked(body) == body
    for wrong in (
        body | {"color": "red"},
        body | {"steps": []},
        body | {"steps": [body["steps"][0] | {"step_id": 2}]},
        body | {"steps": [body["steps"][0] | {"source": "user"}]},
        body | {"steps": [body["steps"][0] | {"timestamp": "yesterday"}]},
        body | {"steps": [body["steps"][0] | {"tool_calls": []}]},
    ):
        with pytest.raises(UsageError, match=r"no ATIF-v1\.8"):
            atif.checked(wrong)


def test_a_foreign_atif_is_read_leniently_and_says_what_was_lost():
    agent_step = {
        "step_id": 2,
        "source": "agent",
        "message": [{"type": "text", "text": "Both."}, {"type": "image", "source": {"path": "x.png"}}],
        "reasoning_content": "Hm.",
        "tool_calls": [
            {"tool_call_id": "a", "function_name": "bash", "arguments": {"command": "ls"}},
            {"tool_call_id": "b", "function_name": "edit", "arguments": {"path": "x", "n": 1}},
        ],
        "observation": {"results": [{"source_call_id": "b", "content": "edited"}, {"content": "x.py"}]},
        "metrics": {"prompt_tokens": 10, "completion_tokens": 2, "cost_usd": 0.5},
        "new_in_1_9": True,
    }
    body = {
        "schema_version": "ATIF-v1.4",
        "session_id": "s",
        "agent": {"name": "claude-code", "version": "2", "model_name": "m"},
        "steps": [{"step_id": 1, "source": "user", "message": "Fix it."}, agent_step],
        "final_metrics": {"total_cost_usd": 0.75, "total_prompt_tokens": 12},
        "extra": {"reward": 1.0, "instance_id": "a__b-1", "submission": DIFF},
    }
    found = atif.read(body, Path("trajectory.json"))
    assert (found.task_id, found.agent, found.rollout.patch) == ("a__b-1", "claude-code m", DIFF)
    one, two = found.steps
    assert (one.thought, one.action, one.observation) == ("Hm.\n\nBoth.\n[image]", "ls", "x.py")
    assert (two.action, two.observation, two.returncode) == ('edit {"path": "x", "n": 1}', "edited", None)
    assert (found.rollout.usage.usd, found.rollout.usage.input_tokens) == (0.75, 12)
    assert found.extra["prompt"] == [{"role": "user", "content": "Fix it."}]
    assert "reward" not in json.dumps(dict(found.extra))
    assert [told[0] for told in found.lost] == ["1", "1"]


def minis(folder, *patches, task_id="a__b-1"):
    """Write one folder of mini-swe-agent's per patch, as it lays them out."""
    places = []
    for i, patch in enumerate(patches):
        found = recorded(
            task_id, Rollout(patch=patch, usage=Usage(calls=1, known_usd=0.5)), [Step(f"try {i}")]
        )
        document = mini.document(found)
        document.pop("tts")
        place = folder / f"run{i}" / "x" / "x.traj.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(document | {"instance_id": task_id}), encoding="utf-8")
        places.append(folder / f"run{i}")
    return places


def test_a_folder_imported_again_adds_nothing(tmp_path, capsys):
    folder = tmp_path / "run"
    (folder / "trajs").mkdir(parents=True)
    (one,) = minis(tmp_path, "a")
    one.rename(folder / "trajs" / "a__b-1")
    preds.write(folder / "preds" / "rtv.json", {"a__b-1": "a"}, "m")
    place = tmp_path / "pool"
    for _ in range(2):
        import_([folder], place)
        assert len(list(pool.lines(place))) == 1
        assert "predictions passed over" in capsys.readouterr().out


def test_sources_number_their_samples_on_and_a_second_import_of_one_is_noticed(tmp_path, capsys):
    one, two = minis(tmp_path, "a", "b")
    place = tmp_path / "pool"
    import_([one], place)
    name = pool.name_of(place)
    import_([one, two, two], place)
    assert [(line["sample"], line["patch"], line["group"]) for line in pool.lines(place)] == [
        (0, "a", "a/b"),
        (1, "b", "a/b"),
    ]
    assert "files that were imported before" in capsys.readouterr().out
    assert pool.name_of(place) == name
    (task,) = read_pool(place / "pool.jsonl")
    assert [sample.output for sample in task.samples] == ["a", "b"]
    for path in (place / "trajs").rglob("*.json"):
        assert atif.checked(json.loads(path.read_text()))


def test_faults_of_the_machine_are_told_and_not_imported(tmp_path, capsys):
    body = {"messages": [], "trajectory_format": mini.FORMAT, "info": {"exit_status": "RateLimitError"}}
    (tmp_path / "t.traj.json").write_text(json.dumps(body))
    import_([tmp_path / "t.traj.json"], tmp_path / "pool", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["imported"] == 0
    assert told["statuses"] == {"not imported: a fault of the machine ended them": 1}


def test_an_import_that_fails_leaves_the_pool_as_it_was(tmp_path):
    (one,) = minis(tmp_path, "a")
    place = tmp_path / "pool"
    import_([one], place)
    before = (place / "pool.jsonl").read_bytes()
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "more.jsonl").write_text('{"instance_id": "t", "model_patch": "x"}\n')
    with pytest.raises(UsageError, match=r"bad\.json: not JSON"):
        import_([tmp_path / "more.jsonl", tmp_path / "bad.json"], place)
    assert (place / "pool.jsonl").read_bytes() == before
    assert sorted(p.name for p in place.iterdir()) == ["pool.id", "pool.jsonl", "pool.lock", "trajs"]


def test_hostile_ids_stay_inside_the_pool_or_are_refused(tmp_path):
    body = [
        {"instance_id": name, "model_patch": "x"} for name in ("../../evil", "/etc/evil", ".git", "é" * 900)
    ]
    (tmp_path / "preds.json").write_text(json.dumps(body))
    import_([tmp_path / "preds.json"], tmp_path / "a" / "pool")
    outside = {p.name for p in tmp_path.rglob("*") if (tmp_path / "a" / "pool") not in p.parents}
    assert outside == {"a", "pool", "preds.json"}
    agent = RecordedAgent(tmp_path / "a" / "pool")
    assert agent.sample("../../evil", 0).task_id == "../../evil"
    assert agent.sample("é" * 900, 0).rollout.patch == "x"
    for name in ("a\x00b", "a\nb", "x" * 1_001):
        (tmp_path / "bad.json").write_text(json.dumps([{"instance_id": name, "model_patch": "x"}]))
        with pytest.raises(UsageError, match="printable characters"):
            import_([tmp_path / "bad.json"], tmp_path / "a" / "pool")


def test_two_importers_do_not_write_one_pool(tmp_path):
    (one,) = minis(tmp_path, "a")
    inside, done = threading.Event(), threading.Event()

    def hold():
        with pool.adding(tmp_path / "pool"):
            inside.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    with pytest.raises(UsageError, match="another process"):
        import_([one], tmp_path / "pool")
    done.set()
    holder.join()


def test_an_output_that_is_too_large_is_a_failure_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "MAX_OUTPUT_CHARACTERS", 3)
    import_(minis(tmp_path, "abcd"), tmp_path / "pool")
    (line,) = pool.lines(tmp_path / "pool")
    assert (line["status"], line["patch"]) == ("failed", "")


class LongestJudge:
    """Prefers the longest output."""

    fingerprint = "longest"

    async def compare(self, task, shown, *, n=1):
        best = max(shown, key=lambda candidate: len(candidate.rollout.output or ""))
        keys = tuple(candidate.rollout.key for candidate in shown)
        return [Verdict(preferred=best.rollout.key, shown=keys) for _ in range(n)]


class PatchGrader:
    fingerprint = "patch"

    async def grade(self, task, rollout):
        return Grade(resolved=rollout.patch == "bbbb", score=float(rollout.patch == "bbbb"))


def run_over(place, folder, *strategies):
    experiment = Experiment(
        tasks=[Task("a__b-1", "Fix it.")],
        strategies=strategies,
        agent=RecordedAgent(place),
        judge=LongestJudge(),
        summarizer=ScriptedSummarizer(),
        grader=PatchGrader(),
    )
    anyio.run(lambda: experiment.run(folder))
    return Run.open(folder)


@pytest.fixture
def run(tmp_path):
    place = tmp_path / "pool"
    import_(minis(tmp_path / "src", "a", "bbbb", "cc", "ddd"), place)
    with run_over(place, tmp_path / "run", "single", "rtv@4") as opened:
        yield opened


def test_strategies_select_among_what_was_imported(run):
    chosen = {choice.strategy: run.rollouts("a__b-1")[choice.winner].patch for choice in run.choices()}
    assert chosen == {"single": "a", "rtv@4": "bbbb"}
    first = next(r for r in run.rollouts("a__b-1").values() if r.index == 0)
    assert [step.thought for step in run.steps(first.key)] == ["try 0"]
    assert (first.usage.calls, first.usage.usd) == (1, 0.5)


def test_growing_a_pool_keeps_the_keys_of_what_is_there(tmp_path):
    place = tmp_path / "pool"
    sources = minis(tmp_path / "src", "a", "bb", "cc", "d")
    import_(sources[:2], place)
    with run_over(place, tmp_path / "run", "rtv@4") as opened:
        before = opened.rollouts("a__b-1")
    assert sorted(r.status for r in before.values()) == ["failed", "failed", "finished", "finished"]
    assert any("has 2 samples of a__b-1" in r.error for r in before.values())
    import_(sources, place)
    assert RecordedAgent(place).fingerprint == RecordedAgent(place).fingerprint
    with run_over(place, tmp_path / "again", "rtv@4") as opened:
        after = opened.rollouts("a__b-1")
    assert before.keys() == after.keys()
    assert {r.status for r in after.values()} == {"finished"}


class OneAttempt:
    def __init__(self, index=0, priors=(), workspace=None):
        self.index, self.priors, self.workspace, self.steps = index, priors, workspace, []

    def record(self, step):
        self.steps.append(step)


def test_a_pool_refines_nothing_and_needs_no_workspace(tmp_path):
    import_(minis(tmp_path, "a"), tmp_path / "pool")
    agent = RecordedAgent(tmp_path / "pool")
    for attempt, told in (
        (OneAttempt(priors=[Summary()]), "nothing can be refined"),
        (OneAttempt(workspace=tmp_path), "works in no workspace"),
        (OneAttempt(index=1), "has 1 samples of a__b-1"),
    ):
        with pytest.raises(UsageError, match=told):
            anyio.run(agent.run, Task("a__b-1", ""), attempt)


def test_a_pool_that_is_none_is_refused_at_once_and_an_empty_one_before_the_run(tmp_path):
    with pytest.raises(UsageError, match="holds no pool"):
        RecordedAgent(tmp_path)
    with pool.adding(tmp_path / "pool"):
        pass
    with pytest.raises(UsageError, match="holds no samples"):
        anyio.run(RecordedAgent(tmp_path / "pool").ready)


def test_what_the_samples_used_bounds_the_next_one(tmp_path):
    place = tmp_path / "pool"
    with pool.adding(place) as writer:
        for i, usd in enumerate([0.5, 2.0]):
            usage = Usage(calls=1, input_tokens=10, output_tokens=i, known_usd=usd)
            writer.add(recorded("t", Rollout(patch="x", usage=usage), []))
        writer.add(recorded("u", Rollout(patch="x", usage=Usage(calls=1, unpriced_calls=1)), []))
    agent = RecordedAgent(place)
    assert (agent.bound_for(Task("t", ""), ()).usd, agent.bound_for(Task("t", ""), ()).tokens) == (2.0, 11)
    assert agent.bound_for(Task("u", ""), ()).usd is None


@pytest.mark.parametrize(("how", "ending"), [("atif", ".json"), ("mini", ".traj.json")])
def test_trajectories_are_exported_and_read_back(run, tmp_path, capsys, how, ending):
    out = tmp_path / "out"
    assert call(["export", str(tmp_path / "run"), "--format", how, "-o", str(out)]) == 0
    assert "4 trajectories written" in capsys.readouterr().out
    found = list(read([out]))
    assert [(one.sample, one.rollout.patch) for one in found] == list(enumerate(["a", "bbbb", "cc", "ddd"]))
    assert all(path.name.endswith(ending) for path in (out / "trajs").rglob("*.json"))
    kept = {r.key: r for r in run.rollouts().values()}
    for one in found:
        mine = replace(kept[one.extra["key"]], key="", index=one.sample)
        assert one.rollout == mine
        assert list(one.steps) == list(run.steps(one.extra["key"]))


def test_winners_only(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        call(["export", str(tmp_path / "run"), "-f", "atif", "--winners", "-s", "rtv@4", "-o", str(out)]) == 0
    )
    assert [one.rollout.patch for one in read([out])] == ["bbbb"]


def test_predictions_are_exported_per_strategy(run, tmp_path, capsys):
    assert (
        call(["export", str(tmp_path / "run"), "-f", "preds", "-o", str(tmp_path / "preds"), "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert [one["strategy"] for one in told["written"]] == ["single", "rtv@4"]
    for one, patch in zip(told["written"], ["a", "bbbb"], strict=True):
        entry = json.loads(Path(one["file"]).read_text())["a__b-1"]
        assert (entry["model_patch"], entry["model_name_or_path"]) == (patch, one["strategy"])


def test_a_leaderboard_folder(run, tmp_path, capsys):
    yaml = pytest.importorskip("yaml")
    command = ["export", str(tmp_path / "run"), "-f", "leaderboard", "-o", str(tmp_path / "x")]
    assert call(command) == 2
    assert "a submission is of one strategy" in capsys.readouterr().err
    assert call([*command, "-s", "rtv@4", "--date", "20260131", "--name", "my-agent"]) == 0
    folder = tmp_path / "x" / "evaluation" / "verified" / "20260131_my-agent"
    names = ["README.md", "all_preds.jsonl", "logs", "metadata.yaml", "trajs"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert json.loads((folder / "all_preds.jsonl").read_text())["model_patch"] == "bbbb"
    told = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert (told["info"]["name"], told["tags"]["system"]["attempts"]) == ("my-agent", "2+")
    assert "[x]" not in (folder / "README.md").read_text().lower()
    assert [path.name for path in (folder / "trajs").iterdir()] == ["a__b-1.json"]


def test_what_authors_wrote_into_a_leaderboard_folder_stays(tmp_path):
    entry = leaderboard.Entry("lite", "20260131", "x", "m")
    leaderboard.write(tmp_path, entry, [])
    (entry.folder(tmp_path) / "README.md").write_text("ours")
    leaderboard.write(tmp_path, entry, [("t", None)])
    assert (entry.folder(tmp_path) / "README.md").read_text() == "ours"


@pytest.mark.parametrize(
    "wrong", [{"split": "../x"}, {"date": "2026-01-31"}, {"name": "a/b"}, {"name": ".."}]
)
def test_a_leaderboard_folder_stays_inside(tmp_path, wrong):
    entry = replace(leaderboard.Entry("lite", "20260131", "x", "m"), **wrong)
    with pytest.raises(UsageError, match="a submission's"):
        leaderboard.write(tmp_path / "out", entry, [])
    assert not (tmp_path / "out").exists()


def test_a_run_exported_as_a_pool_is_a_pool_without_grades(run, tmp_path, capsys):
    assert any(grade.resolved for grade in run.grades("a__b-1").values())
    command = ["export", str(tmp_path / "run"), "-f", "pool", "-o", str(tmp_path / "again")]
    assert call(command) == 0
    assert call(command) == 0
    assert "attempts that the pool has already (4 times)" in capsys.readouterr().out
    told = list(pool.lines(tmp_path / "again"))
    assert [line["patch"] for line in told] == ["a", "bbbb", "cc", "ddd"]
    assert not {"correct", "score", "resolved"} & {name for line in told for name in line}
    everything = "".join(p.read_text() for p in (tmp_path / "again").rglob("*.json*"))
    assert "resolved" not in everything


def test_an_export_of_a_strategy_that_is_not_there(run, tmp_path, capsys):
    assert (
        call(["export", str(tmp_path / "run"), "-f", "preds", "-s", "vote@9", "-o", str(tmp_path / "x")]) == 2
    )
    assert "it has single, rtv@4" in capsys.readouterr().err
