"""Files of the filter's folder beside its shards."""

NOTE = "crossval.json"
"""The done-mark of a cross-validation."""

COPIES = "copies.json"
"""Samples that are copies of images that are to be avoided."""

SCORES = "scores.parquet"
"""What the networks say of each sample."""

REFERENCE = "reference.json"
"""Losses on a real set, where one judges."""
