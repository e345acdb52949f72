"""Where the experts of a model lie when whole experts are spread over ranks, and a placement that balances their loads.

A *place* is a rank among all ranks that exchange tokens. Every place has as many experts; an expert that is needed more than others may
lie on several places, whose replicas take its tokens in turn (redundant experts).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol import DefinitionError


@dataclass(frozen=True)
class ExpertPlacement:
    """Which experts each place has, in the order in which it is sent their tokens."""

    held: tuple[tuple[int, ...], ...]

    @classmethod
    def even(cls, experts: int, places: int) -> ExpertPlacement:
        """Each expert once, consecutive ones together; `places` divides `experts`."""
        each = experts // places
        return cls(tuple(tuple(range(place * each, (place + 1) * each)) for place in range(places)))

    @classmethod
    def spread(cls, experts: int, places: int, redundant: int = 0) -> ExpertPlacement:
        """Evenly, with so many more on every place as replicas, as if all had as much to do.

        Raises:
            DefinitionError: there are not so many experts that a place has not.
        """
        most = experts - experts // places
        if not 0 <= redundant <= most:
            raise DefinitionError(f"redundant={redundant}: give 0 to {most}, where every one of {places} ranks has all {experts} experts")
        return cls.balanced([1.0] * experts, places, experts // places + redundant) if redundant else cls.even(experts, places)

    @classmethod
    def balanced(cls, loads: Sequence[float], places: int, each: int) -> ExpertPlacement:
        """Greedy: replicas to whom has the most for each of his, then the heaviest to the place that has least.

        Args:
            loads: of every expert, such as the tokens that have visited it. each: experts of a place; all places together have room for all experts.
        """
        experts = range(len(loads))
        replicas = [1] * len(loads)
        for _ in range(places * each - len(loads)):
            replicas[max(experts, key=lambda e: (replicas[e] < places, loads[e] / replicas[e], -e))] += 1
        held: list[list[int]] = [[] for _ in range(places)]
        carried = [0.0] * places
        for expert in sorted((e for e in experts for _ in range(replicas[e])), key=lambda e: (-loads[e] / replicas[e], e)):
            free = [place for place in range(places) if len(held[place]) < each]
            place = min(free, key=lambda place: (expert in held[place], carried[place], place))
            held[place].append(expert)
            carried[place] += loads[expert] / replicas[expert]
        return cls(tuple(tuple(sorted(mine)) for mine in held))

    def replicas(self, expert: int) -> int:
        """How often an expert is there."""
        return sum(mine.count(expert) for mine in self.held)

    def moves(self, other: ExpertPlacement) -> Iterator[tuple[int, int, int]]:
        """Who gives what to whom when another placement comes into force: (expert, giver, taker). Those who have one give it in turn."""
        for place, mine in enumerate(other.held):
            for expert in sorted(set(mine) - set(self.held[place])):
                givers = [giver for giver, theirs in enumerate(self.held) if expert in theirs]
                yield expert, givers[place % len(givers)], place

    def parts(self) -> Iterator[list[tuple[int, slice]]]:
        """For every place, of each of its experts: the expert, and which of the tokens that visit it are for this replica."""
        seen: dict[int, int] = {}
        for mine in self.held:
            part = []
            for expert in mine:
                number = seen.setdefault(expert, 0)
                seen[expert] += 1
                part.append((expert, slice(number, None, self.replicas(expert))))
            yield part

    def imbalance(self, loads: Sequence[float]) -> float:
        """The load of the place that has most over the mean of all places: 1 is even, the number of places is the worst."""
        carried = [sum(loads[expert] / self.replicas(expert) for expert in mine) for mine in self.held]
        return max(carried) * len(carried) / sum(carried) if sum(carried) else 1.0
