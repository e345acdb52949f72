"""Races with consequences: a recorded path drives the machines and real tensors, and the damage is measured."""

from .damage import Damage
from .replay import Exposure, Late, Replay, expose, late, replay

__all__ = ["Damage", "Exposure", "Late", "Replay", "expose", "late", "replay"]
