"""The errors that users see. Each carries one sentence that names what is wrong and how to mend it."""


class VxpError(Exception):
    """Base of all errors that a command line prints as one sentence (exit code 1) instead of a traceback."""


class BadInput(VxpError):
    """One piece of sensor data that cannot be used. `reason` is the drop counter's key, e.g. "bad_encoding"."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class ModelError(VxpError):
    """A model folder that is missing, damaged or does not fit."""


class MapError(VxpError):
    """A map folder that is missing, damaged, of another model or of a newer format."""


class SourceError(VxpError):
    """A bag or data set that is missing, or lacks a part that was asked for."""


def printable(text: str) -> str:
    r"""The text as UTF-8 can carry it: names of files may hold other bytes (surrogates), shown as \udcff."""
    return text.encode(errors="backslashreplace").decode()
