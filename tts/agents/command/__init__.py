"""An agent that is any program which edits a working directory."""

from tts.agents.command.agent import CommandAgent, command_agent

__all__ = ["CommandAgent", "command_agent"]
