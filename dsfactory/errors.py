"""Errors that end a command, each with the exit code that a script can rely on."""


class DsfactoryError(Exception):
    """Base class; the message is the one line that the user sees."""

    exit_code = 1


class UserError(DsfactoryError):
    """The user's input cannot be used; the message says what is wrong and what to do."""

    exit_code = 2


class DamagedShard(DsfactoryError):
    """A finished shard's bytes are not what its done-mark says they are."""

    exit_code = 3


class DamagedImage(DamagedShard, ValueError):
    """An image of a shard cannot be decoded; a stage may take it for one failed sample."""


class RunLocked(DsfactoryError):
    """Another live process holds the run."""

    exit_code = 4


class StopSignal(BaseException):
    """SIGINT or SIGTERM arrived: the shard in hand is discarded, finished ones stay.

    Not an ``Exception``, so that no ``except Exception`` on the way swallows it.

    Attributes:
        kept: what the user still has; who knows it says so.
    """

    exit_code = 5
    kept = "what was finished is kept"
