"""The engine: makes happen what the protocol allows. `run` drives it; the machines it drives are `protocol`'s."""

from .run import run

__all__ = ["run"]
