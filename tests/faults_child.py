"""Runs vote@8 on sums with a model at a base URL: `python faults_child.py URL FOLDER N_TASKS`."""

import sys

import anyio

from tts.agents.answers import answer_form
from tts.agents.chat import ChatAgent
from tts.experiment import Experiment
from tts.graders import ExpectedAnswer
from tts.models.call import Patience
from tts.models.names import model
from tts.types import Task

PATIENT = Patience(total_seconds=60, stall_seconds=0.5, first_wait_seconds=0.002, longest_wait_seconds=0.05)


def experiment(url, n_tasks, *, workers=48):
    tasks = [Task(f"t{i}", f"Add 1{i}+{i}") for i in range(n_tasks)]
    chat = model("openai/m", base_url=url, patience=PATIENT, price="1,2")
    return Experiment(
        tasks=tasks,
        strategies=["vote@8"],
        agent=ChatAgent(model=chat, answer=answer_form("number")),
        grader=ExpectedAnswer({f"t{i}": str(int(f"1{i}") + i) for i in range(n_tasks)}, "number"),
        workers=workers,
        window=workers,
    )


if __name__ == "__main__":
    url, folder, n_tasks = sys.argv[1:]
    anyio.run(experiment(url, int(n_tasks)).run, folder).close()
