"""Engine and workers: the gate, the engine-worker queue, the forward signal, the ranks' barriers."""
