"""The repaired protocol as one composition, from intake to release, and its parts with one rule left out."""
