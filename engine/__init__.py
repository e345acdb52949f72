"""The engine: makes happen what the protocol allows. The machines that it drives are `protocol`'s."""
