"""The hazards of the group "preparation"."""
HAZARDS = []
