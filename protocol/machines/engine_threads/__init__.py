"""The engine process's threads against each other: scheduling, fetching, control messages, completion, exit."""
