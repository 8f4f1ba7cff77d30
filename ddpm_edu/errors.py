"""The errors that a user can mend. The command line prints each as one line and exits with code 2."""


class UserError(ValueError):
    """Something the user can mend: the message names what was found, what was wanted, and what to do."""


class ConfigError(UserError):
    """A combination of settings that cannot work."""


class DatasetError(UserError):
    """A dataset that is missing, broken, or does not fit the task."""


class CheckpointError(UserError):
    """A checkpoint that is missing, broken, or does not fit the policy."""


class TrainingError(UserError):
    """A training that has left the finite numbers."""


class SimulatorError(UserError):
    """The simulator or its renderer cannot run here."""


class NotebookError(UserError):
    """A notebook of the course whose exercises are not put together well, or that would be overwritten."""


class BusyError(UserError):
    """Something that another process is writing."""


def first_line(error: BaseException) -> str:
    """The first line of what an exception says; its kind where it says nothing."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error  # its own text is a repr
    return next(iter(str(said).strip().splitlines()), type(error).__name__)
