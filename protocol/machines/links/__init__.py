"""Links between instances: connections made ahead, queues by index, and when written memory is seen."""
