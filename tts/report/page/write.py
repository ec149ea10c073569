"""Writes the page: the head from the report and its study, then one task after another, as they are read."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from markupsafe import Markup

from tts.report.facts import Report
from tts.report.page.plots import accuracies_of, plots, svg
from tts.report.page.sections import Head, head_of
from tts.report.page.tasks import TaskReader, TaskView
from tts.report.study import Study
from tts.run import Choice, Run

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
MOST_BYTES = 5_500_000
"""A page that would be larger has its tasks in files beside it."""

CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; "
    "base-uri 'none'; form-action 'none'"
)
CAPTIONS = {
    "cost": "Accuracy against cost, each strategy counted as if it ran alone; bars are 95 % intervals, the "
    "dashed line the Pareto front.",
    "growth": "Accuracy against the number of attempts, with 95 % bands; dashed lines use the truth.",
    "rounds": "How often votes are for the right one of two attempts of which one is right.",
    "passes": "Tasks by how many of their attempts are right, before and after refinement.",
}


@dataclass(slots=True)
class Written:
    """What was written: the page, and the files beside it where the tasks did not fit."""

    page: Path
    n_bytes: int = 0
    tasks: int = 0
    beside: list[Path] = field(default_factory=list[Path])


def write_page(
    path: Path, report: Report, study: Study, run: Run | None = None, *, title: str, group: str = ""
) -> Written:
    """Write the page of a report; with a run it tells of every task.

    The tasks are in the page where all fit into `MOST_BYTES`, else each in a file of its own in a folder
    beside it, named as the page with `.tasks`. Nothing is kept of a task once it is written.

    Raises:
        OSError: a file cannot be written.
    """
    head = head_of(report, study, _drawn(report, study), CAPTIONS, title)
    written = Written(path)
    begin = _page(head, has_tasks=run is not None)
    draft = path.with_name(path.name + ".part")
    with draft.open("w", encoding="utf-8") as file:
        file.write(begin)
        if run is not None:
            _tasks(file, run, head, written, begin, group)
        file.write(_end(has_tasks=run is not None))
    draft.replace(path)
    written.n_bytes = path.stat().st_size
    return written


def _drawn(report: Report, study: Study) -> dict[str, Markup]:
    found = plots(study, accuracies_of(report.comparison))
    return {name: Markup(svg(figure, name, CAPTIONS[name])) for name, figure in found.items()}


def _tasks(file: IO[str], run: Run, head: Head, written: Written, begin: str, group: str) -> None:
    """Write the tasks into the page while they fit; once they do not, all of them beside it."""
    start, size = file.tell(), len(begin.encode())
    for view in views(run, group):
        told = _task(view)
        size += len(told.encode())
        if size > MOST_BYTES:
            file.seek(start)
            file.truncate()
            _beside(file, run, head, written, group)
            return
        file.write(told)
        written.tasks += 1


def _beside(file: IO[str], run: Run, head: Head, written: Written, group: str) -> None:
    folder = written.page.with_name(f"{written.page.stem}.tasks")
    folder.mkdir(exist_ok=True)
    written.tasks = 0
    link = _environment().from_string(LINK)
    for view in views(run, group):
        place = folder / f"{view.anchor}.html"
        alone = _page(head, has_tasks=True, single=view.id, back=f"../{written.page.name}")
        place.write_text(alone + _task(view) + _end(has_tasks=True), encoding="utf-8")
        file.write(link.render(task=view, href=f"{folder.name}/{place.name}"))
        written.beside.append(place)
        written.tasks += 1


LINK = """
<p class="task" data-text="{{ task.id }} {{ task.group }}" data-outcomes="\
{% for c in task.choices %}{{ c.strategy }}={{ c.outcome }};{% endfor %}">
<a href="{{ href }}">{{ task.id }}</a>
{% for c in task.choices %}<span class="chip {{ c.outcome }}">{{ c.strategy }} \
{{ {"right": "✓", "wrong": "✗"}.get(c.outcome, "–") }}</span>{% endfor %}</p>
"""


def views(run: Run, group: str = "") -> Iterator[TaskView]:
    """Yield what is told of each task, one at a time."""
    by_task: defaultdict[str, list[Choice]] = defaultdict(list)
    for choice in run.current_choices():
        by_task[choice.task_id].append(choice)
    reader = TaskReader(run, by_task, group, run.config.strategies)
    for number, task in enumerate(list(run.tasks())):
        yield reader.view(task, number)


def _page(head: Head, *, has_tasks: bool, single: str = "", back: str = "") -> str:
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values: dict[str, Any] = {"csp": CSP.format(script=digest), "css": Markup(_file("page.css"))}
    more = {"has_tasks": has_tasks, "single_task": bool(single), "back": back}
    told = {**head.values, **({"title": f"{single} – {head.values['title']}"} if single else {})}
    return _environment().get_template("page.html.jinja").render(**told, **values, **more)


def _task(view: TaskView) -> str:
    return _environment().get_template("task.html.jinja").render(task=view, names=_names(view))


def _names(view: TaskView) -> Callable[[str], str]:
    def name(key: str) -> str:
        return view.names.get(key, key[:6])

    return name


def _end(*, has_tasks: bool) -> str:
    ends = "</section>" if has_tasks else ""
    return f"{ends}\n</main>\n<script>{_file('page.js')}</script>\n</body>\n</html>\n"


@cache
def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
