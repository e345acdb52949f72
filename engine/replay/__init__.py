"""Races with consequences: a recorded path drives the machines and real tensors, and the damage is measured."""

from .damage import Damage
from .replay import Exposure, Replay, expose, replay

__all__ = ["Damage", "Exposure", "Replay", "expose", "replay"]
