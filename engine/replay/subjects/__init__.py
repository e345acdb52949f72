"""The worlds: one a subject of the catalogue, with handlers bound to the rows of its builder."""
