"""Data-parallel instances that share the experts of a model, driven by `expert_round`, in lockstep and in processes."""
