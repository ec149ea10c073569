"""Typed access to the settings."""

from inifile.reader import parse
from inifile.writer import dump

YES = ("1", "yes", "true", "on")
NO = ("0", "no", "false", "off")


class Config:
    """Sections of settings; a setting that a section lacks is looked up in [defaults]."""

    def __init__(self, text=""):
        self.sections = parse(text)

    def get(self, section, key, fallback=None):
        for name in (section, "defaults"):
            settings = self.sections.get(name, {})
            if key.lower() in settings:
                return settings[key.lower()]
        return fallback

    def get_int(self, section, key, fallback=None):
        value = self.get(section, key)
        return fallback if value is None else int(value)

    def get_bool(self, section, key, fallback=None):
        value = self.get(section, key)
        if value is None:
            return fallback
        if value.lower() in YES:
            return True
        if value.lower() in NO:
            return False
        raise ValueError(f"{section}.{key} is neither yes nor no: {value!r}")

    def set(self, section, key, value):
        self.sections.setdefault(section, {})[key.lower()] = str(value)

    def text(self):
        return dump(self.sections)
