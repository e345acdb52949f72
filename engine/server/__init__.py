"""The server: the OpenAI API over a `generation.Service`. It knows nothing of how tokens are made."""
