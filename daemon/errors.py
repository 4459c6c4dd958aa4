"""The daemon's one error family for what a person can mend."""


class RefusalError(Exception):
    """The daemon will not start as asked; the message is one sentence saying what is wrong, where, and what to do."""


class ConfigError(RefusalError):
    """A configuration with an unknown name or a value that cannot be."""
