"""What can go wrong in the engine beside what the protocol already names.

A crash that the protocol models is a row; this is for what it does not: a process of the engine that died under us.
"""

from protocol import ProtocolError


class EngineError(ProtocolError):
    """A process of the engine ended too early or did not start; the message names it, the cause and the remedy.

    `cause`: without the remedy, for those to whom the end of the engine is not theirs to remedy.
    """

    def __init__(self, message: str, *, cause: str = ""):
        super().__init__(message)
        self.cause = cause or message


class StandsStill(EngineError):
    """A run in lockstep in which nothing happens any more, or nothing new; the message says who waits for what."""
