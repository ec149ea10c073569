"""Effects on a real Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

if os.environ.get("TTS_THOROUGH") != "1":
    pytest.skip("clusters are started where TTS_THOROUGH=1", allow_module_level=True)  # Ray loads slowly
pytest.importorskip("ray")
sys.path.append(str(Path(__file__).parent))  # the workers get the path of the run

import cluster_agents as agents
import ray
from ray.cluster_utils import Cluster

from tts.agents.answers import answer_form
from tts.agents.chat import ChatAgent
from tts.agents.function import agent
from tts.errors import Infra, UsageError
from tts.events import Ended, Event, Started
from tts.executors.cluster import Needs, RayCluster
from tts.executors.cluster.gates import Gates
from tts.executors.cluster.post import Post
from tts.executors.local import Here
from tts.experiment import Experiment
from tts.models.connections import connected as open_connections
from tts.models.names import model
from tts.models.throttle import Limits
from tts.protocols import Scope
from tts.run import Run
from tts.store import Store
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.testing.provider import Asked, ModelServer, Says
from tts.types import Budget, Pool, Task
from tts.workspaces.git import GitWorkspaces

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_MEMORY_MONITOR": "1"}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 10}})
    made.add_node(num_cpus=1, resources={"second": 10})
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def experiment(cluster: Cluster, agent: Any, tasks: Sequence[Task], **changes: Any) -> Experiment:
    where = RayCluster(address=cluster.address, needs=changes.pop("needs", Needs()))
    return Experiment(**{"tasks": tasks, "strategies": ["vote@4"], "agent": agent, "where": where, **changes})


def run(experiment: Experiment, folder: Path) -> Run:
    return anyio.run(experiment.run, folder)


def tasks(n: int = 1, **metadata: Any) -> list[Task]:
    return [Task(f"t{i}", "a task", metadata=metadata) for i in range(n)]


def test_rollouts_run_on_all_nodes_and_end_in_one_store(cluster: Cluster, tmp_path: Path) -> None:
    with run(experiment(cluster, agents.busy, tasks(2, seconds=0.3)), tmp_path) as made:
        rollouts = made.rollouts()
        places = {made.steps(key)[0].observation for key in rollouts}
    assert len(rollouts) == 8
    assert len(places) == 2
    assert {r.usage.tokens for r in rollouts.values()} == {10}
    assert all(0.3 <= r.seconds < 3 for r in rollouts.values())


def test_the_winners_are_those_of_a_run_in_this_process(cluster: Cluster, tmp_path: Path) -> None:
    there = experiment(
        cluster,
        agents.told,
        tasks(3),
        strategies=["vote@4", "sample(2) | refine(2, priors='random') | vote()"],
        summarizer=ExtractiveSummarizer(),
    )
    here = replace(there, where=Here())
    with run(there, tmp_path / "there") as a, run(here, tmp_path / "here") as b:
        assert [(c.strategy, c.winner) for c in a.choices()] == [(c.strategy, c.winner) for c in b.choices()]
        assert a.rollouts().keys() == b.rollouts().keys()


def test_what_is_stored_is_not_shipped_again(cluster: Cluster, tmp_path: Path) -> None:
    run(experiment(cluster, agents.told, tasks(2)), tmp_path).close()
    events = list[Event]()
    again = experiment(cluster, agents.told, tasks(2), listeners=[events.append])
    run(again, tmp_path).close()
    assert not [event for event in events if isinstance(event, Ended)]


def test_an_effect_whose_worker_dies_runs_again_and_the_first_try_stays_billed(
    cluster: Cluster, tmp_path: Path
) -> None:
    asked = experiment(cluster, agents.dying, tasks(marks=str(tmp_path), times=1), strategies=["single"])
    with run(asked, tmp_path / "run") as made:
        (choice,) = made.choices()
        assert choice.winner
        assert not choice.incomplete
    store = Store.read(tmp_path / "run")
    assert [record.status for record in store.records(kind="rollout")] == ["infra", "finished"]
    assert store.charged()[1] == 14
    store.close()


def test_an_effect_that_kills_every_worker_fails_in_the_end_and_harms_no_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    (deadly,), (fine,) = tasks(marks=str(tmp_path), times=99), tasks(marks=str(tmp_path), times=0)
    asked = [deadly, Task("fine", "a task", metadata=fine.metadata)]
    with run(experiment(cluster, agents.dying, asked, strategies=["single"]), tmp_path / "run") as made:
        choices = {choice.task_id: choice for choice in made.choices()}
    assert choices["fine"].winner
    assert choices["t0"].unfinished
    store = Store.read(tmp_path / "run")
    assert [r.status for r in store.records(kind="rollout", task_id="t0")] == ["infra"] * 4
    store.close()


def test_a_hard_budget_holds_over_workers_that_die(cluster: Cluster, tmp_path: Path) -> None:
    asked = experiment(
        cluster,
        agents.dying,
        tasks(marks=str(tmp_path), times=99),
        strategies=["single"],
        budget=Budget(rollouts=2),
    )
    run(asked, tmp_path / "run").close()
    store = Store.read(tmp_path / "run")
    assert store.charged()[3] == 2
    store.close()


def run_cancelled(
    asked: Experiment, folder: Path, begun: anyio.Event, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Run, cancel once it has `begun`, and do something while it ends."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(asked.run, folder)
            await begun.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                meanwhile()

    anyio.run(main)


def test_what_is_cancelled_ends_there_too_and_what_it_had_told_is_kept(
    cluster: Cluster, tmp_path: Path
) -> None:
    begun = anyio.Event()
    task = tasks(left=str(tmp_path / "left"))
    asked = experiment(cluster, agents.endless, task, strategies=[Waiting(begun)])

    run_cancelled(asked, tmp_path / "run", begun)
    assert (tmp_path / "left").exists()
    store = Store.read(tmp_path / "run")
    (record,) = store.records(kind="rollout")
    assert (record.status, record.length, record.n_steps) == ("cancelled", 3.0, 1)
    assert store.charged()[1] == 7
    store.close()


def test_what_was_finished_while_it_was_cancelled_is_kept(cluster: Cluster, tmp_path: Path) -> None:
    begun = anyio.Event()
    task = tasks(go=str(tmp_path / "go"))
    asked = experiment(cluster, agents.deaf, task, strategies=[Waiting(begun)])

    run_cancelled(asked, tmp_path / "run", begun, (tmp_path / "go").touch)
    store = Store.read(tmp_path / "run")
    (record,) = store.records(kind="rollout")
    assert (record.status, record.usage.tokens) == ("finished", 7)
    store.close()


def test_the_wait_for_a_machine_is_nobody_s_time(cluster: Cluster, tmp_path: Path) -> None:
    at: list[float] = []

    def heard(event: Event) -> None:
        if isinstance(event, Started | Ended):
            at.append(time.monotonic())

    alone = Needs(cpus=1, resources={"second": 10})
    asked = experiment(cluster, agents.busy, tasks(seconds=0.3), needs=alone, listeners=[heard])
    run(asked, tmp_path).close()
    store = Store.read(tmp_path)
    seconds = [record.seconds for record in store.records(kind="rollout")]
    store.close()
    assert len(seconds) == 4
    assert sum(seconds) <= at[-1] - at[0]


def test_the_post_forgets_calls_that_have_ended() -> None:
    async def main() -> None:
        post = Post()
        async with anyio.create_task_group() as group:
            group.start_soon(post.dismissed, 1)
            await anyio.wait_all_tasks_blocked()
            await post.dismiss(1)
        await post.dismiss(2)  # the run's word may come first
        await post.dismissed(2)
        assert post._leave == {}

    anyio.run(main)


@dataclass(frozen=True)
class Waiting:
    """A stage that says when its rollout has come as far as it will."""

    over: anyio.Event
    needs = frozenset({"agent"})

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        async with scope.lanes(1) as lanes:
            while await lanes.changed():
                if any(lane.length == 3.0 for lane in lanes):
                    self.over.set()
        return pool


def test_what_is_told_keeps_its_order_and_is_heard_to_the_end(cluster: Cluster, tmp_path: Path) -> None:
    with run(experiment(cluster, agents.wordy, tasks(2)), tmp_path) as made:
        for key, rollout in made.rollouts().items():
            assert [step.observation for step in made.steps(key)] == [str(i) for i in range(300)]
            assert (rollout.length, rollout.usage.tokens) == (299.0, 300)


def test_a_thread_that_goes_on_after_its_attempt_is_stopped(cluster: Cluster, tmp_path: Path) -> None:
    task = tasks(left=str(tmp_path / "left"))
    timed = agent(agents.stubborn, bound=Budget(seconds=1.0))
    with run(experiment(cluster, timed, task, strategies=["single"]), tmp_path / "run") as made:
        (rollout,) = made.rollouts().values()
    assert rollout.status == "limit"
    for _ in range(500):
        if (tmp_path / "left").exists():
            break
        time.sleep(0.02)
    assert (tmp_path / "left").exists()


def test_a_node_that_cannot_play_stops_the_run_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the sandbox is missing"):
        run(experiment(cluster, agents.unusable, tasks()), tmp_path)


def test_a_module_that_the_nodes_lack_stops_the_run_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    module = tmp_path / "gone_agent.py"
    module.write_text("async def solve(task):\n    return 'x'\n")
    sys.path.append(str(tmp_path))
    try:
        from gone_agent import solve  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    with pytest.raises(UsageError, match=r"cannot load a player.*gone_agent.*working directory"):
        run(experiment(cluster, solve, tasks()), tmp_path / "run")


def test_workspaces_are_made_where_the_effect_runs(cluster: Cluster, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "a.txt").write_text("0\n")
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm one"):
        subprocess.run(["git", *command.split()], cwd=repo, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repo, check=True, capture_output=True, text=True
    ).stdout.strip()
    task = Task("t", "change a", repo=str(repo), base_commit=head)
    asked = experiment(cluster, agents.handed, [task], workspaces=GitWorkspaces())
    with run(asked, tmp_path / "run") as made:
        patches = {rollout.patch for rollout in made.rollouts().values()}
    assert len(patches) == 4
    assert all("a.txt" in (patch or "") for patch in patches)


def test_effects_go_where_their_resources_are(cluster: Cluster, tmp_path: Path) -> None:
    asked = experiment(
        cluster, agents.told, tasks(), needs=Needs(cpus=0.5, memory_bytes=1 << 20, resources={"second": 1})
    )
    with run(asked, tmp_path) as made:
        places = {made.steps(key)[0].observation for key in made.rollouts()}
    (second,) = (node["NodeID"] for node in ray_nodes(cluster) if "second" in node["Resources"])
    assert places == {second}


def ray_nodes(cluster: Cluster) -> list[dict[str, Any]]:
    ray.init(address=cluster.address, log_to_driver=False, ignore_reinit_error=True)
    try:
        return [node for node in ray.nodes() if node["Alive"]]
    finally:
        ray.shutdown()


def test_the_limits_of_a_model_hold_over_all_nodes(cluster: Cluster, tmp_path: Path) -> None:
    def slow(asked: Asked) -> Says:
        return Says(r"\\boxed{42}", seconds_to_first=0.2)

    with ModelServer(slow) as server:
        one = model("openai/m", base_url=server.openai_url, limits=Limits(concurrency=1))
        agent = ChatAgent(model=one, answer=answer_form("boxed"))
        run(experiment(cluster, agent, tasks(), workers=4), tmp_path).close()
        served = sorted(server.requests, key=lambda request: request.opened_at)
    assert len(served) == 4
    ends = [request.closed_at or 0.0 for request in served]
    assert all(later.opened_at >= end for later, end in zip(served[1:], ends, strict=False))


class Answers:
    """A post office that keeps the answers."""

    def __init__(self) -> None:
        self.given: dict[int, Any] = {}
        self.answer = self

    def remote(self, question: int, value: Any) -> None:
        self.given[question] = value


def test_who_no_longer_waits_for_a_place_takes_none() -> None:
    async def main() -> None:
        post, calls = Answers(), {1: None, 2: None, 3: None}
        limits, key = Limits(concurrency=1, requests_per_minute=3), ("m", "", "")
        async with open_connections() as connections, anyio.create_task_group() as group:
            gates = Gates(connections, post, calls)
            throttle: Any = connections.throttle(key, limits)
            for call in calls:
                group.start_soon(gates.enter, call, call, (f"ticket {call}", key, limits, 10))
                await anyio.wait_all_tasks_blocked()
            assert post.given == {1: None}
            del calls[2]
            gates.end(2)  # it had waited
            gates.hear("leave", "ticket 3")  # its worker gave the request up
            await anyio.wait_all_tasks_blocked()
            gates.hear("leave", "ticket 1")
            await anyio.wait_all_tasks_blocked()
            assert {question: isinstance(said, Infra) for question, said in post.given.items()} == {
                1: False,
                2: True,
                3: True,
            }
            assert (throttle.in_flight, len(throttle._recent)) == (0, 1)

    anyio.run(main)


def test_a_node_s_gpus_and_its_own_resources_are_asked_for_in_ray_s_words() -> None:
    needs = Needs(cpus=2, resources={"GPU": 1, "fast_disk": 1})
    assert needs.options == {"num_cpus": 2, "num_gpus": 1, "resources": {"fast_disk": 1}}
    with pytest.raises(UsageError, match="CPU is no resource"):
        Needs(resources={"CPU": 2})


def test_what_no_node_has_or_nobody_can_send_is_said_before_anything_runs(
    cluster: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no node of the cluster has 64 CPU"):
        run(experiment(cluster, agents.told, tasks(), needs=Needs(cpus=64)), tmp_path / "a")
    with pytest.raises(UsageError, match="cannot be sent"):
        run(experiment(cluster, agents.Locked(), tasks()), tmp_path / "b")
    nowhere = replace(experiment(cluster, agents.told, tasks()), where=RayCluster(address="127.0.0.1:1"))
    with pytest.raises(UsageError, match="no Ray cluster answers at"):
        run(nowhere, tmp_path / "c")
    with ModelServer() as server:
        elsewhere = replace(nowhere, where=RayCluster(address=f"127.0.0.1:{server.port}"))
        with pytest.raises(UsageError, match="something else listens there"):
            run(elsewhere, tmp_path / "d")
    with pytest.raises(UsageError, match=r"2048 GiB of memory, which each rollout needs: the most is"):
        run(experiment(cluster, agents.told, tasks(), needs=Needs(memory_bytes=1 << 41)), tmp_path / "e")
    with pytest.raises(UsageError, match="HOST:PORT or auto"):
        RayCluster(address="somewhere")
    with pytest.raises(UsageError, match="no folder /nowhere"):
        RayCluster(working_dir="/nowhere")


def test_a_node_that_is_killed_loses_nothing_finished_and_the_winners_are_the_same(tmp_path: Path) -> None:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    doomed = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    ended = list[str]()

    def kill(event: Event) -> None:
        if isinstance(event, Ended) and event.kind == "rollout":
            ended.append(event.status)
            if len(ended) == 4:
                made.remove_node(doomed, allow_graceful=False)

    try:
        asked = experiment(made, agents.busy, tasks(3, seconds=0.4), listeners=[kill])
        with run(asked, tmp_path / "there") as there:
            chosen = {c.task_id: c.winner for c in there.choices()}
    finally:
        made.shutdown()
    with run(replace(asked, where=Here(), listeners=[]), tmp_path / "here") as alone:
        assert chosen == {c.task_id: c.winner for c in alone.choices()}
    assert ended.count("finished") == 12
    assert "infra" in ended
