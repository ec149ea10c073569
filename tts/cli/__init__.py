"""The command line: it parses, calls and prints; the only room that prints."""
