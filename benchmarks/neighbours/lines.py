"""The programs that are measured, each with its driver, and an environment of its own for each."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
VENVS = HERE.parent / ".venvs"

REQUIREMENTS = {
    "its_hub": ["its_hub[lm]==1.2.0"],
    "dspy": ["dspy==3.4.1"],
    "inspect-ai": ["inspect-ai==0.3.285", "openai>=3.50"],
    "optillm": ["optillm==0.4.0"],
    "treequest": ["treequest==0.3.3", "openai>=3.50"],
    "mini-swe-agent": ["mini-swe-agent==2.4.6"],
}
"""What is installed, by program; optillm brings several gigabytes with it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A program and one of its ways. "floor" and "tts" run in the environment of this benchmark."""

    program: str
    way: str
    driver: str

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.program} {self.way}".strip()

    @property
    def is_ours(self) -> bool:
        """Whether it is no neighbour."""
        return self.program not in REQUIREMENTS

    @property
    def python(self) -> Path:
        """The interpreter that runs its driver."""
        return Path(sys.executable) if self.is_ours else VENVS / self.program / "bin" / "python"


LINES = (
    Line("floor", "", "floor"),
    Line("floor", "stream", "floor"),
    Line("tts", "sdk", "tts_run"),
    Line("tts", "aiohttp", "tts_run"),
    Line("tts", "chat", "tts_run"),
    Line("its_hub", "self_consistency", "run_its_hub"),
    Line("its_hub", "best_of_n", "run_its_hub"),
    Line("its_hub", "beta", "run_its_hub"),
    Line("dspy", "best_of_n", "run_dspy"),
    Line("dspy", "majority", "run_dspy"),
    Line("dspy", "parallel", "run_dspy"),
    Line("inspect-ai", "epochs", "run_inspect"),
    Line("optillm", "bon", "run_optillm"),
    Line("optillm", "self_consistency", "run_optillm"),
    Line("treequest", "step", "run_treequest"),
    Line("treequest", "ask_batch", "run_treequest"),
    Line("mini-swe-agent", "batch", "run_mini"),
)


def prepare(program: str) -> None:
    """Make a program's environment where it is not there in the version that is wanted."""
    folder, wanted = VENVS / program, "\n".join(REQUIREMENTS[program])
    stamp = folder / "installed.txt"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {program}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, *REQUIREMENTS[program]], check=True)
    stamp.write_text(wanted)
