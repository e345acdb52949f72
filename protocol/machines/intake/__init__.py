"""The schedulers' queues: LocalScheduler, the data-parallel scheduler, the fetching thread."""
