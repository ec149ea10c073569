"""A small reader and writer for files in the manner of INI."""

from inifile.config import Config
from inifile.reader import ParseError, parse
from inifile.writer import dump

__all__ = ["Config", "ParseError", "dump", "parse"]
