"""The pool of a run: per class its ranked captions, and which prompt belongs to which sample."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.corpus import Corpus
from dsfactory.stages.prompts.expand import Expander, object_phrase
from dsfactory.stages.prompts.prompt import Prompt
from dsfactory.stages.prompts.retrieve import Embedder, Findings, Rules, collect, diversify, rank_bm25
from dsfactory.stages.prompts.steer import Steering
from dsfactory.stages.prompts.vocabulary import ClassWords, run_matcher, stop_matcher
from dsfactory.storage.atomic import write_atomic

_log = logging.getLogger(__name__)

Captions = Mapping[tuple[int, int], Sequence[Prompt]]
"""(class position, number of classes named) to ranked captions."""


def object_counts(config: PromptsConfig, classes: int) -> list[int]:
    """The numbers of classes per image that a run draws, smallest first; never more than it has classes."""
    low, high = config.object_range
    return list(range(low, min(high, classes) + 1))


def gather(config: PromptsConfig, corpus: Corpus, classes: Sequence[ClassWords], steering: Steering) -> Findings:
    """One pass over the corpus: the captions that may be used, unranked.

    Captions that speak of what ``steering`` steers are left out, and those that its wishes would make too long.

    Raises:
        UserError: the corpus or the stop-word file cannot be used.
    """
    counts = object_counts(config, len(classes))
    rules = Rules(
        stop=stop_matcher(config.stop_words, classes),
        taken=steering.taken(),
        fewest=counts[0],
        most=counts[-1],
        first_words=config.first_words,
        max_words=config.max_words - steering.most_words,
        limit=config.pool,
    )
    return collect(corpus.captions(), len(classes), run_matcher(classes), rules)


def rank(
    findings: Findings,
    config: PromptsConfig,
    classes: Sequence[ClassWords],
    embed_factory: Callable[[], Embedder],
) -> dict[tuple[int, int], list[Prompt]]:
    """Rank what was gathered: BM25 chooses ``config.pool`` captions per list, embeddings order them.

    The text encoder is loaded only when there is something to rank. Says in the log which classes the corpus lacks.
    """
    captions: dict[tuple[int, int], list[Prompt]] = {}
    embed: Embedder | None = None
    for position, words in enumerate(classes):
        for count in object_counts(config, len(classes)):
            candidates = findings.candidates.get((position, count), [])
            if not candidates:
                _log.warning("%s", _lack(words.name, count, findings.dropped[position].total()))
                continue
            embed = embed or embed_factory()
            best = rank_bm25(candidates, config.pool)
            captions[position, count] = [
                Prompt(item.caption.text, item.caption.source, tuple(classes[label].name for label in item.labels))
                for item, _ in diversify(best, object_phrase(words), embed, config.mmr_lambda)
            ]
    return captions


def _lack(name: str, count: int, dropped: int) -> str:
    company = f" with {count - 1} other of the classes" if count > 1 else ""
    if dropped:
        return f"none of the {dropped} captions that mention {name} can be used{company}: templates are used"
    return f"no caption mentions {name}{company}: templates are used"


def choose(
    captions: Captions,
    expander: Expander,
    counts: Sequence[int],
    position: int,
    index: int,
    steering: Steering,
    wishes: Mapping[str, str | None],
) -> Prompt:
    """The prompt of the sample ``index`` of a class: it depends on nothing but these.

    The numbers of classes take turns; for each, captions come first, then made prompts, then all of them
    again with a counter in the source. ``steering`` puts the sample's ``wishes`` into the text.
    """
    count = counts[index % len(counts)]
    found = captions.get((position, count), ())
    size = len(found) + expander.count(position, count)
    use, place = divmod(index // len(counts), size)
    if place < len(found):
        prompt = found[place]
        text = steering.extend(prompt.text, wishes)
    else:
        prompt = expander.make(position, count, place - len(found))
        text = steering.fill(prompt.text, wishes)
    prompt = replace(prompt, text=text)
    return replace(prompt, source=f"{prompt.source}#{use + 1}") if use else prompt


def save_pool(path: Path, identity: Mapping[str, Any], captions: Captions) -> None:
    """Write ranked captions as JSON, in one visible step; the same captions give the same bytes."""
    lists = [
        {"class": position, "objects": count, "captions": [[item.text, item.source, item.classes] for item in prompts]}
        for (position, count), prompts in sorted(captions.items())
    ]
    text = json.dumps({"identity": identity, "lists": lists}, ensure_ascii=False, sort_keys=True, indent=1)
    write_atomic(path, text.encode())


def load_pool(path: Path, identity: Mapping[str, Any]) -> dict[tuple[int, int], list[Prompt]] | None:
    """Read what :func:`save_pool` wrote; None when it is not there or was made from other inputs."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        if content["identity"] != json.loads(json.dumps(identity)):
            return None
        return {
            (item["class"], item["objects"]): [
                Prompt(text, source, tuple(classes)) for text, source, classes in item["captions"]
            ]
            for item in content["lists"]
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
