"""ATIF v1.8 (Agent Trajectory Interchange Format, of Harbor) as models; unknown fields are forbidden."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

VERSION: Literal["ATIF-v1.8"] = "ATIF-v1.8"

Extra = dict[str, Any] | None


class Strict(BaseModel):
    """A part of the format: a field that it does not name is an error."""

    model_config = ConfigDict(extra="forbid")


class Source(Strict):
    """Where an image or a recording is; `duration_sec` is for recordings."""

    media_type: str
    path: str
    duration_sec: float | None = Field(default=None, ge=0)


class Part(Strict):
    """A part of a message: text, or a file that is named."""

    type: Literal["text", "image", "audio"]
    text: str | None = None
    source: Source | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Part:
        if (self.text is None) == (self.type == "text") or (self.source is None) != (self.type == "text"):
            raise ValueError("a text part has `text`, an image or audio part has `source`, and no other")
        return self


class Agent(Strict):
    """Who made the trajectory."""

    name: str
    version: str
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None
    extra: Extra = None


class ToolCall(Strict):
    """One action."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]
    extra: Extra = None


class SubagentRef(Strict):
    """Names the trajectory of a sub-agent: in this file by id, or in another by path."""

    trajectory_id: str | None = None
    session_id: str | None = None
    trajectory_path: str | None = None
    extra: Extra = None

    @model_validator(mode="after")
    def _names_one(self) -> SubagentRef:
        if self.trajectory_id is None and self.trajectory_path is None:
            raise ValueError("a reference to a sub-agent needs `trajectory_id` or `trajectory_path`")
        return self


class Result(Strict):
    """What came back of an action."""

    source_call_id: str | None = None
    content: str | list[Part] | None = None
    subagent_trajectory_ref: list[SubagentRef] | None = None
    extra: Extra = None


class Observation(Strict):
    """What came back of a step."""

    results: list[Result]


class Metrics(Strict):
    """What a step cost; `prompt_tokens` include the cached ones."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    prompt_token_ids: list[int] | None = None
    completion_token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    extra: Extra = None


class FinalMetrics(Strict):
    """What the whole trajectory cost."""

    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = Field(default=None, ge=0)
    extra: Extra = None


AGENT_ONLY = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")


class Step(Strict):
    """One turn. The fields of `AGENT_ONLY` are for steps whose source is the agent."""

    step_id: int = Field(ge=1)
    timestamp: str | None = None
    source: Literal["system", "user", "agent"]
    model_name: str | None = None
    reasoning_effort: str | float | None = None
    message: str | list[Part]
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    observation: Observation | None = None
    metrics: Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = Field(default=None, ge=0)
    extra: Extra = None

    @model_validator(mode="after")
    def _holds_together(self) -> Step:
        if self.timestamp is not None:
            datetime.fromisoformat(self.timestamp.replace("Z", "+00:00"))
        wrong = [name for name in AGENT_ONLY if getattr(self, name) is not None]
        if self.source != "agent" and wrong:
            raise ValueError(f"`{wrong[0]}` is for steps of the agent, not of the {self.source}")
        if self.source == "agent" and self.llm_call_count == 0 and (self.metrics or self.reasoning_content):
            raise ValueError("a step without a model call has no `metrics` and no `reasoning_content`")
        ids = {call.tool_call_id for call in self.tool_calls or ()}
        results = self.observation.results if self.observation else []
        if {r.source_call_id for r in results if r.source_call_id is not None} - ids:
            raise ValueError("an observation names a `source_call_id` that the step's `tool_calls` have not")
        return self


class Trajectory(Strict):
    """The whole document; `step_id` counts from 1."""

    schema_version: Literal["ATIF-v1.8"] = VERSION
    session_id: str | None = None
    trajectory_id: str | None = None
    agent: Agent
    steps: list[Step] = Field(min_length=1)
    notes: str | None = None
    final_metrics: FinalMetrics | None = None
    continued_trajectory_ref: str | None = None
    extra: Extra = None
    subagent_trajectories: list[Trajectory] | None = None

    @model_validator(mode="after")
    def _counts(self) -> Trajectory:
        if [step.step_id for step in self.steps] != list(range(1, len(self.steps) + 1)):
            raise ValueError("`step_id` counts 1, 2, 3, …")
        ids = [sub.trajectory_id for sub in self.subagent_trajectories or ()]
        if None in ids or len(set(ids)) < len(ids):
            raise ValueError("each of `subagent_trajectories` has a `trajectory_id` of its own")
        return self
