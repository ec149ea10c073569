"""The work behind `tts solve`."""
