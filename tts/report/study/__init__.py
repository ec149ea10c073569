"""What a comparison is asked beside accuracy and cost: who wins where, how sure, and how judges did."""

from __future__ import annotations

from tts.report.study.study import Study, study_of_replay, study_of_run

__all__ = ["Study", "study_of_replay", "study_of_run"]
