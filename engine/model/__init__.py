"""The data plane: a Llama-shaped transformer in numpy, its paged cache, its sampling. It knows nothing of the protocol."""
