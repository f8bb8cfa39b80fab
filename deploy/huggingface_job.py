# /// script
# requires-python = ">=3.11"
# dependencies = ["dsfactory[filter]"]
# ///
"""From class names to a dataset on the Hugging Face hub, on their machines:

hf jobs uv run --flavor a10g-small --secrets HF_TOKEN deploy/huggingface_job.py dog,bird me/dogs sd15
"""

import subprocess
import sys


def commands(classes: str, dataset: str, model: str = "pocket") -> list[list[str]]:
    """What is run, one after the other."""
    return [
        f"dsfactory run --classes {classes} --model {model} --num 500 --out run --format parquet".split(),
        f"dsfactory push run --to hf://datasets/{dataset}".split(),
    ]


if __name__ == "__main__":
    for command in commands(*sys.argv[1:]):
        subprocess.run(command, check=True)
