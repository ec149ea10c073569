"""The page of a report: its figures, hostile text, sizes, and a browser with the network off."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
import re
import shutil
from bisect import bisect_left
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

import tts
from tts.cli.main import call
from tts.cli.reporting import told
from tts.comparison import Measured, compare
from tts.experiment import Experiment
from tts.graders import ExpectedAnswer
from tts.report.facts import Report, report_of_run
from tts.report.page import write, write_page
from tts.report.page.highlight import cut, diff
from tts.report.study import study_of_replay, study_of_run
from tts.run import Run
from tts.samples import Cost
from tts.testing import ScriptedAgent, ScriptedJudge, ScriptedSummarizer
from tts.types import Budget, Rollout, Step, Task, Usage

HOSTILE = [
    "<script>window.owned=1</script>",
    "</script><script>window.owned=1</script>",
    "</pre></details><img src=x onerror=window.owned=1>",
    "<svg onload=window.owned=1></svg>",
    "<svg><script>window.owned=1</script></svg>",
    '"><body onload=window.owned=1>',
    "' onmouseover='window.owned=1",
    '" autofocus onfocus="window.owned=1',
    "<iframe src='javascript:parent.owned=1'></iframe>",
    "<a href='javascript:window.owned=1'>x</a>",
    "<object data='data:text/html,<script>top.owned=1</script>'>",
    "<embed src='data:text/html,x'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<img src='https://evil.example/beacon.png'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example'><input name=x></form>",
    "{{ 7 * 7 }}{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('id') }}",
    "${alert(1)}",
    "<!-- --><!--[if IE]><script>window.owned=1</script><![endif]-->",
    "<template><script>window.owned=1</script></template>",
    "<math><mi xlink:href='javascript:window.owned=1'>x</mi></math>",
    "<details open ontoggle=window.owned=1>",
    "<video><source onerror=window.owned=1></video>",
    "<input onfocus=window.owned=1 autofocus>",
    "<noscript><p title='</noscript><img src=x onerror=window.owned=1>'>",
    "&lt;script&gt;window.owned=1&lt;/script&gt;",
    "\u202egnp.exe",
    "\u2066hidden\u2069\u200b\ufeff",
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "\x00\x08\x9b31m",
    "a\u2028window.owned=1\u2029b",
    "]]><script>window.owned=1</script>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-<script>owned=1</script>\n+<img src onerror=a()>\n",
    "\n".join(f"+{'<b>' * 50}" for _ in range(300)),
    "\ud800 lone",
    "x" * 300_000,
]
"""Forty texts that must do nothing."""


def test_there_are_forty() -> None:
    assert len(HOSTILE) == 40


async def hostile_attempt(task: Task, attempt: tts.agents.function.Attempt) -> Rollout:  # type: ignore[name-defined]
    said = str(task.metadata["text"])
    attempt.record(Step(thought=said, action=said, observation=said, returncode=1))
    patch = said if said.startswith("diff") else None
    return Rollout(answer=None if patch else f"{attempt.index} {said}", patch=patch, error=said[:500])


class HostileSummarizer(ScriptedSummarizer):
    async def summarize(self, task: Task, rollout: Rollout, steps: Any) -> tts.Summary:
        return tts.Summary(claims=(str(task.metadata["text"]),), final_state=str(task.metadata["text"]))


class HostileJudge(ScriptedJudge):
    templates: ClassVar[dict[str, str]] = {"judge": HOSTILE[0]}

    async def compare(self, task: Task, shown: Any, *, n: int = 1) -> list[tts.Verdict]:
        said = str(task.metadata["text"])[:2_000].encode("utf-8", "replace").decode()
        return [tts.Verdict(preferred=shown[0].rollout.key, reason=said)] * n


async def numbered(task: Task, attempt: Any) -> Rollout:
    attempt.record(
        Step(
            action="think", observation=f"{attempt.index}", returncode=0, usage=Usage(1, 10, output_tokens=5)
        )
    )
    right = (attempt.index + int(task.id[1:])) % 3 == 0 or bool(attempt.priors)
    return Rollout(answer="right" if right else f"wrong {attempt.index}", length=float(attempt.index + 1))


def run_in(folder: Path, *, hostile: bool = False, n_tasks: int = 6) -> Run:
    texts = HOSTILE if hostile else ["Say it."] * n_tasks
    tasks = [
        Task(
            f"t{i}",
            said.encode("utf-8", "replace").decode(),
            metadata={"text": said.encode("utf-8", "replace").decode(), "package": f"p{i % 2}"},
        )
        for i, said in enumerate(texts)
    ]
    experiment = Experiment(
        tasks=tasks,
        strategies=["rtv@2", "pdr-rtv@2"]
        if hostile
        else ["single", "vote@4", "rtv@4", "pdr-rtv@4", "pass@4"],
        agent=ScriptedAgent(hostile_attempt if hostile else numbered, bound=Budget(usd=0.0)),  # type: ignore[arg-type]
        summarizer=HostileSummarizer() if hostile else ScriptedSummarizer(),
        judge=HostileJudge() if hostile else ScriptedJudge(),
        grader=ExpectedAnswer({task.id: "right" for task in tasks}, "text"),
    )
    return anyio.run(experiment.run, folder)


def page_of(run: Run, path: Path, group: str = "") -> tuple[str, dict[str, Any]]:
    report = report_of_run(run, group=group)
    study = study_of_run(run, report.comparison, group=group)
    write_page(path, report, study, run, title="a run", group=group)
    return path.read_text(encoding="utf-8"), json.loads(told(report, study, "json"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "run"
    run_in(folder).close()
    return folder


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    with run_in(folder / "run", hostile=True) as run:
        page_of(run, folder / "page.html")
    return folder / "page.html"


class Tables(HTMLParser):
    """The values behind the cells of each table, row by row, the first cell as text."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[Any]]] = []
        self.head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag == "td":
            value = given.get("data-v")
            self.tables[-1][-1].append(None if value is None else float(value))
        elif tag == "th" and given.get("scope") == "row":
            self.head = True

    def handle_data(self, data: str) -> None:
        if self.head:
            self.tables[-1][-1].append(data)
            self.head = False


def figures(page: str) -> Iterator[float]:
    parser = Tables()
    parser.feed(page)
    return (cell for table in parser.tables for row in table for cell in row[1:] if isinstance(cell, float))


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield float(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from numbers(inner)


def test_every_figure_of_the_page_is_in_the_json(place: Path, tmp_path: Path) -> None:
    with Run.open(place) as run:
        page, document = page_of(run, tmp_path / "p.html")
    assert check_figures(page, document) > 60


def check_figures(page: str, document: dict[str, Any]) -> int:
    """Check that each figure of a page is in its JSON, to 1e-9; return how many there are."""
    duels, judging = document["study"]["duels"], document["study"]["judging"]
    derived = {len(duel[side]) for duel in duels for side in ("gained", "lost")}
    derived |= {r["right"] / r["votes"] for r in judging["rounds"]} if judging else set()
    known = list(numbers(document))
    signed = sorted([*known, *(-x for x in known), *derived])
    shown = list(figures(page))
    for figure in shown:
        place = bisect_left(signed, figure - 1e-9)
        assert place < len(signed), figure
        assert abs(signed[place] - figure) <= 1e-9, figure
    return len(shown)


@pytest.mark.thorough
@pytest.mark.skipif(not os.environ.get("TTS_DATA"), reason="TTS_DATA does not name the recorded data sets")
def test_the_page_of_a_recorded_pool_is_its_json_and_that_is_what_counting_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = pytest.importorskip("benchmarks.recorded", reason="run from the checkout")
    rows = list(recorded.contest(Path(os.environ["TTS_DATA"]) / recorded.MATH_FILE, dataset="amc23"))
    pool, page = tmp_path / "pool.jsonl", tmp_path / "pool.html"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["-s", "pass@1", "-s", "vote@9", "-s", "pass@9", "-s", "short-3@9"]
    assert call(["replay", str(pool), *words, "--json", "--report", str(page)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert check_figures(page.read_text(encoding="utf-8"), document) > 60
    right: dict[str, list[bool]] = {}
    for row in rows:
        right.setdefault(str(row["task_id"]), []).append(bool(row["correct"]))
    for k in (1, 9):
        shares = [1 - math.comb(len(r) - sum(r), k) / math.comb(len(r), k) for r in right.values()]
        (found,) = [s for s in document["strategies"] if s["name"] == f"pass@{k}"]
        mean = math.fsum(shares) / len(shares)
        assert found["accuracy"] == pytest.approx(mean, abs=1e-9)
        spread = math.sqrt(math.fsum((s - mean) ** 2 for s in shares) / (len(shares) - 1) / len(shares))
        assert found["se"] == pytest.approx(spread, abs=1e-9)


def test_the_first_table_has_the_strategies_in_their_order(place: Path, tmp_path: Path) -> None:
    with Run.open(place) as run:
        page, document = page_of(run, tmp_path / "p.html")
    parser = Tables()
    parser.feed(page)
    rows = [row for row in parser.tables[0] if row]
    assert [row[0].removesuffix(" (oracle)") for row in rows] == [s["name"] for s in document["strategies"]]
    assert [row[1] for row in rows] == [pytest.approx(s["accuracy"]) for s in document["strategies"]]
    assert '<p class="answer">pdr-rtv@4' in page


def test_clusters_are_told_and_warned_of(place: Path, tmp_path: Path) -> None:
    with Run.open(place) as run:
        page, document = page_of(run, tmp_path / "p.html", group="package")
    assert document["study"]["effective_clusters"] == pytest.approx(2.0)
    assert "tell as much as 2.0 of one size" in page
    assert "p1" in page


def test_refinement_and_judges_are_counted(place: Path) -> None:
    with Run.open(place) as run:
        report = report_of_run(run)
        study = study_of_run(run, report.comparison)
    (refined,) = study.refinements
    assert refined.strategy == "pdr-rtv@4"
    assert refined.accuracy[1] == 1.0
    assert sum(refined.passes[0].values()) == 6
    assert sum(row.n_rollouts for row in refined.by_priors) == 24
    assert study.judging is not None
    assert study.judging.votes == sum(1 for _ in range(study.judging.votes))
    assert study.judging.first / study.judging.on_pairs == pytest.approx(0.5, abs=0.1)
    assert study.judging.agreeing == study.judging.compared  # the scripted judge knows no chance
    assert {r.strategy for r in study.judging.rounds} <= {"rtv@4", "pdr-rtv@4"}


def test_duels_say_who_gains_what(place: Path) -> None:
    with Run.open(place) as run:
        report = report_of_run(run)
        study = study_of_run(run, report.comparison)
    duel = next(d for d in study.duels if (d.pair.a, d.pair.b) == ("single", "pdr-rtv@4"))
    assert duel.gained == ()
    assert duel.lost == ("t1", "t2", "t4", "t5")
    assert duel.mcnemar == pytest.approx(0.125)
    assert duel.needed is not None


def test_the_policy_names_the_one_script_that_is_there(place: Path, tmp_path: Path) -> None:
    with Run.open(place) as run:
        page, _ = page_of(run, tmp_path / "p.html")
    page = html.unescape(page)
    assert page.count("<script") == 1
    assert re.search(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[\w+/=]+'", page
    )
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    assert page.count("<svg") == 4


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.bad += [name for name, _ in attrs if name.startswith("on")]
        self.bad += [
            f"{n}={v}" for n, v in attrs if n in ("src", "href", "action") and not (v or "").startswith("#")
        ]


def test_hostile_text_makes_no_element(hostile_page: Path) -> None:
    found = Elements()
    page = hostile_page.read_text(encoding="utf-8")
    found.feed(page)
    forbidden = {
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "link",
        "video",
        "math",
        "body2",
        "noscript",
        "b",
    }
    assert not forbidden & set(found.tags)
    assert found.tags.count("script") == 1
    assert [bad for bad in found.bad if "image/png" not in bad] == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff]", page)
    assert "{{ 7 * 7 }}" in page
    assert "Prompt of the judge: judge" in page
    assert len(page) < 6_000_000


def test_long_lines_and_patches_are_cut() -> None:
    huge = "x" * 50_000_000
    assert len(cut(huge, 1_500)) < 2_000
    assert "more characters are in the run" in cut(huge, 1_500)
    assert len(diff("+" + huge)) < 10_000
    assert "&lt;b&gt;" in diff("+<b>")


def test_tasks_that_do_not_fit_stand_beside_the_page(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MOST_BYTES", 60_000)
    with Run.open(place) as run:
        page, _ = page_of(run, tmp_path / "p.html")
    links = re.findall(r'<p class="task"[^>]+>\s*<a href="([^"]+)"', page)
    assert links == [f"p.tasks/task-{i}.html" for i in range(6)]
    alone = (tmp_path / links[0]).read_text(encoding="utf-8")
    assert '<a href="../p.html">' in alone
    assert 'id="task-0"' in alone
    assert not (tmp_path / "p.html.part").exists()


def test_other_forms_have_the_same_figures(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["report", str(place), "-f", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert call(["report", str(place), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [float(row["accuracy"]) for row in rows] == [s["accuracy"] for s in document["strategies"]]
    assert call(["report", str(place), "-f", "latex", "--plots", str(tmp_path / "plots")]) == 0
    out = capsys.readouterr().out
    assert out.startswith(r"\begin{tabular}{lrrr")
    assert r"resolved \%" in out
    made = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"cost.png", "growth.svg", "rounds.pdf", "passes.png"} <= made
    assert (tmp_path / "plots" / "growth.png").read_bytes()[:4] == b"\x89PNG"


BROWSER = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
LACKING = [name for name in ("playwright", "axe_playwright_python") if find_spec(name) is None]
LACKING += ["chromium"] * (BROWSER is None)
needs_browser = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")


@pytest.fixture(scope="module")
def browser(place: Path, hostile_page: Path) -> Iterator[Any]:
    """A browser, opened once the runs are made: its driver has an event loop of its own in this thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    context = browser.new_context(offline=True, **options)
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda asked: problems.append(asked.url) if not asked.url.startswith("file:") else None
    )
    page.goto(path.as_uri())
    return page, problems


@needs_browser
def test_the_page_works_in_a_browser_with_the_network_off(browser: Any, place: Path, tmp_path: Path) -> None:
    with Run.open(place) as run:
        page_of(run, tmp_path / "p.html")
    page, problems = opened(browser, tmp_path / "p.html", viewport={"width": 1200, "height": 900})
    page.locator("#strategies thead button", has_text="accuracy").click()
    assert page.locator("#strategies tbody tr th").first.inner_text() in ("pdr-rtv@4", "pass@4 (oracle)")
    page.locator("#strategies thead button", has_text="accuracy").click()
    column = page.locator("#strategies tbody tr td:nth-child(2)").all()
    values = [float(cell.get_attribute("data-v")) for cell in column]
    assert values == sorted(values)
    assert page.locator("#count").inner_text() == "6 of 6 tasks"
    page.keyboard.press("/")
    page.keyboard.type("t3")
    assert page.locator("#count").inner_text() == "1 of 6 tasks"
    page.locator("#text").fill("")
    page.locator("#strategy").select_option("single")
    page.locator("#outcome").select_option("wrong")
    assert page.locator("#count").inner_text() == "4 of 6 tasks"
    page.locator("#outcome").select_option("")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.locator("details.task[open]").count() == 1
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.locator("details.task[open] details.choice > summary", has_text="How rtv@4 chose").click()
    assert page.locator("details.task[open] details.choice[open] ul.bracket").first.is_visible()
    page.locator("details.task[open] details.rollout summary").first.click()
    assert problems == []


@needs_browser
@pytest.mark.thorough
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_the_page_is_accessible_and_fits_its_screen(
    browser: Any, place: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with Run.open(place) as run:
        page_of(run, tmp_path / "p.html")
    page, problems = opened(
        browser, tmp_path / "p.html", viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], one["nodes"][0]["html"][:120])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shot = page.screenshot(full_page=False)
    assert len(shot) > 10_000
    assert problems == []


@needs_browser
def test_hostile_text_does_nothing_in_a_browser(browser: Any, hostile_page: Path) -> None:
    page, problems = opened(browser, hostile_page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.mouse.move(200, 300)
    assert page.evaluate("typeof window.owned") == "undefined"
    assert page.url == hostile_page.as_uri()
    assert problems == []


def test_names_are_no_formulas_in_a_plot(tmp_path: Path) -> None:
    names = [r"$\frac{a}{", "_hidden", "<b>$x$</b>"]
    measured = [
        Measured(name, {"t1": 1.0, "t2": 0.0}, dict.fromkeys(("t1", "t2"), Cost(usd=1.0 + i)))
        for i, name in enumerate(names)
    ]
    report = Report(compare(measured, {"t1": "", "t2": ""}), n_tasks=2)
    write_page(tmp_path / "p.html", report, study_of_replay(report.comparison), title="$x")
    page = html.unescape((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert page.count(r"$\frac{a}{") >= 2
    assert " _hidden</text>" in page.replace("\n", "") or "_hidden</text>" in page


def test_hostile_text_does_nothing_in_a_terminal(
    hostile_page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(hostile_page.parent / "run")
    assert call(["report", run]) == 0
    for i in range(len(HOSTILE)):
        assert call(["show", run, f"t{i}", "--strategy", "pdr-rtv@2"]) == 0
    out = capsys.readouterr().out
    assert not re.search(
        "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff\ud800-\udfff]", out
    )
    assert "\x1b" not in out
