"""Small shared buffers: routing files, captured graphs, the top_p mirror, draft tokens."""
