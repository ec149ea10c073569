"""SWE-bench: instances, environments without Docker, and two graders."""
