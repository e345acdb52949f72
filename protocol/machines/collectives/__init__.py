"""Ranks that must meet: rounds of the data-parallel instances, weight updates, expert balancing, broken locks, ranks that come back."""
