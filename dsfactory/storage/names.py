"""Names of files that the store itself has to tell apart."""

MANIFEST = "run.json"
"""The file that makes a folder a run."""

SHARD_NAME = r"[0-9]{5,}"
"""Name of a shard, as a regular expression: from 100,000 shards on, names grow longer."""
