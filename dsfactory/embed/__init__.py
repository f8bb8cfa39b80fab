"""Image features: one cache in a run serves whoever compares images."""
