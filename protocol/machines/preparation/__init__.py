"""Preparation on P and reservation on D: prepare threads, the ask, refusal, retry, the prefix cache."""
