"""Single words that two sides store to: what is lost between a look and a store."""
