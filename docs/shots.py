"""Draws the pictures of the docs from a run: `python docs/shots.py RUN FOLDER`.

Needs the dependency group browser, and Chromium. `make demo` makes the run runs/demo that the pictures show.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

OPEN_TASK = """() => {
  const deep = "ul.bracket .from .from";
  const task = [...document.querySelectorAll("details.task")].find((one) => one.querySelector(deep));
  task.open = true;
  const choice = [...task.querySelectorAll("details.choice")].find((one) => one.querySelector(deep));
  choice.open = true;
  choice.querySelectorAll("details").forEach((one) => { one.open = true; });
  task.querySelector("details.rollout").open = true;
  task.scrollIntoView();
}"""


def drawn(page: Page, folder: Path) -> None:
    """Write the first screen and a task of the open page."""
    page.screenshot(path=folder / "report.png")
    page.evaluate(OPEN_TASK)
    page.screenshot(path=folder / "report-task.png")


def main(run: str, folder: str) -> int:
    """Write the page of a run, and its pictures into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as play:
        page = Path(scratch) / "demo.html"
        subprocess.run(
            [sys.executable, "-m", "tts", "report", run, "-f", "html", "-o", str(page)], check=True
        )
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_context(offline=True, viewport={"width": 1100, "height": 860}).new_page()
        tab.goto(page.as_uri())
        drawn(tab, Path(folder))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
