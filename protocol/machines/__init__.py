"""The machines of the control plane, one noun a file, each with a variant for every epoch of the real system.

A file that owns machines gives functions which make them; a file named after a subject puts them together in a
`build(...) -> System` that the catalogue, the checker and the engine call with their own bounds.
"""
