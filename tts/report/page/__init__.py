"""A report as one HTML page that opens from disk with the network off."""

from __future__ import annotations

from tts.report.page.write import Written, write_page

__all__ = ["Written", "write_page"]
