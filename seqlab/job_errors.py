"""What is said of an error that ended a training, in the process that trained and in one that only watched others train."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from seqlab import run_directory
from seqlab.command_errors import EXPECTED, HOW_TO_SEE, wants_traceback

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)


class RankTraceback(Exception):
    """The traceback of an error in another process, so that it is shown where the error is shown."""

    def __str__(self) -> str:
        return f"in the rank that failed:\n{self.args[0]}"


class RankError(Exception):
    """An error of a rank, raised in the process that started it. foreseen: the message is all that a user needs."""

    def __init__(self, message: str, foreseen: bool = True) -> None:
        super().__init__(message)
        self.foreseen = foreseen


def to_plain(error: Exception) -> dict[str, Any]:
    """An error as plain data, for another process."""
    foreseen = is_foreseen(error)
    notes = list(getattr(error, "__notes__", []))
    return {"message": _message(error), "foreseen": foreseen, "notes": notes, "traceback": "".join(traceback.format_exception(error))}


def from_plain(plain: dict[str, Any]) -> RankError:
    """The error that `to_plain` made plain, to be raised."""
    error = RankError(plain["message"], plain["foreseen"])
    error.__cause__ = RankTraceback(plain["traceback"])
    for note in plain["notes"]:
        error.add_note(note)
    return error


def explain(error: BaseException) -> str:
    """What an error says, without the wrapping that Hydra puts around it; the key of the config it concerns comes first."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).partition("full_key: ")[2].strip()
        return f"{key}: {explain(error.__cause__)}" if key else explain(error.__cause__)
    message = str(error).partition("\nConfig search path:")[0]
    if isinstance(error.__cause__, OmegaConfBaseException):  # Hydra's own message may then be empty
        message = f"{message} {error.__cause__}"
    return message or type(error).__name__


def explain_job(error: Exception) -> str:
    """The message for a job's error. One that nobody foresaw is shown with its traceback."""
    foreseen = is_foreseen(error)
    if not foreseen or wants_traceback():
        traceback.print_exception(error)
    if not foreseen:
        return _message(error)
    notes = getattr(error, "__notes__", [])
    if not any("traceback" in note for note in notes):
        notes = [*notes, f"({HOW_TO_SEE})"]
    return " ".join([_message(error), *notes])


def is_foreseen(error: Exception) -> bool:
    """Whether the message says what to do, so that no traceback is needed."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, RankError):
        return error.foreseen
    return isinstance(_cause(error), (*EXPECTED, *CONFIG_ERRORS, MisconfigurationException))


def keep_traceback(file: Path) -> str:
    """Write the traceback of the error that is being handled. Returns where it is."""
    try:
        run_directory.write(file, traceback.format_exc())
    except OSError as error:  # a full disk, say: what is told is the first error
        return f"({file} cannot be written: {error.strerror}. {HOW_TO_SEE})"
    return f"(The traceback is in {file}.)"


def _message(error: Exception) -> str:
    if isinstance(error, RankError) or is_foreseen(error):
        return explain(error)
    return f"{type(_cause(error)).__name__}: {explain(error)}"


def _cause(error: BaseException) -> BaseException:
    """The error that Hydra's wrapping is around."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error
