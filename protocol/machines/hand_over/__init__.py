"""The hand-over of a prefilled request: registration, kv signals, the layer-wise send, the first token."""
