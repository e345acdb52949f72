"""The machines of the control plane, one noun a file, each with a variant for every epoch of the real system.

One folder a subject. In it, a file that owns machines gives functions which make them, and a file named after a question
puts them together in a `build(...) -> System` that the catalogue, the checker and the engine call with their own bounds.
"""
