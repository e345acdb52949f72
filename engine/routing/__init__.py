"""Routing replay (R3): the files that tell a trainer which experts every token of a rollout visited, their writer and their reader."""
