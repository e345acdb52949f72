"""The layer-wise send beyond one clean chunk: chunks, errors, stale signals, V0, parallel sends."""
