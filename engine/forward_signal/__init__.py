"""The engine of the forward signal, without tensors: a gate with its scheduler, and ranks whose forwards take time and nothing else."""
