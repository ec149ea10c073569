"""`python -m tts` is the command `tts`."""

from tts.cli.main import main

main()
