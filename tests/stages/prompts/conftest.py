"""A corpus that is read in no time."""

from itertools import islice

import pytest

from dsfactory.stages.prompts.corpus import Corpus


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of the first 2,000 captions of COCO, some fifty of which name a dog."""
    path = tmp_path_factory.mktemp("corpus") / "few.txt"
    path.write_text("".join(f"{caption.text}\n" for caption in islice(Corpus("coco").captions(), 2000)))
    return str(path)
