"""mini-swe-agent: the `process_instance` of its batch runner in the runner's pool of threads, without Docker.

Its agent runs in a local environment and ends with its first command; trajectories and predictions are
written as the runner writes them. Each sample is an instance: the runner attempts an instance once.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ |= {"MSWEA_SILENT_STARTUP": "1", "MSWEA_COST_TRACKING": "ignore_errors"}
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it is fetched from the network
os.environ.setdefault("MSWEA_GLOBAL_CONFIG_DIR", tempfile.mkdtemp())

import litellm
from common import Job, drive
from minisweagent.config import get_config_from_spec
from minisweagent.run.benchmarks.swebench import RunBatchProgressManager, process_instance
from minisweagent.utils.serialize import recursive_merge

logging.disable(logging.CRITICAL)
litellm.suppress_debug_info = True


def config(job: Job) -> dict:  # type: ignore[type-arg]
    """Return the runner's configuration for plain text, with a local environment and the job's server."""
    given = {
        "environment": {"environment_class": "local", "cwd": job.folder},
        "model": {
            "model_name": "openai/m",
            "model_class": "litellm_textbased",
            "model_kwargs": {"api_base": job.url, "api_key": "none", "drop_params": True},
            "cost_tracking": "ignore_errors",
        },
    }
    return recursive_merge(get_config_from_spec("benchmarks/swebench_backticks.yaml"), given)


def came_home(trajectory: Path) -> bool:
    """Return whether a trajectory ends with a submission and holds the answer."""
    kept = json.loads(trajectory.read_text())
    answers = (message["content"] for message in kept["messages"] if message["role"] == "assistant")
    return kept["info"]["exit_status"] == "Submitted" and any("42" in (answer or "") for answer in answers)


def work(job: Job) -> int:
    """Return how many instances came home."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{task}-{sample}" for task in range(job.tasks) for sample in range(job.samples)]
    instances = [
        {"instance_id": name, "problem_statement": job.prompt(int(name.split("-")[0]))} for name in names
    ]
    progress = RunBatchProgressManager(len(instances), folder / f"exit_statuses_{time.time()}.yaml")
    chosen = config(job)
    with ThreadPoolExecutor(max_workers=job.workers) as pool:
        list(pool.map(lambda instance: process_instance(instance, folder, chosen, progress), instances))
    return sum(map(came_home, folder.glob("*-*/*.traj.json")))


drive(work)
