"""The pool of a run: per class its ranked captions, and which prompt belongs to which sample."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.corpus import Corpus
from dsfactory.stages.prompts.expand import Expander, object_phrase
from dsfactory.stages.prompts.prompt import Prompt
from dsfactory.stages.prompts.retrieve import (
    Candidate,
    Embedder,
    Findings,
    Rules,
    choose_growing,
    collect,
    diversify,
    rank_bm25,
    window,
)
from dsfactory.stages.prompts.steer import Steering
from dsfactory.stages.prompts.vocabulary import ClassWords, run_matcher, stop_matcher
from dsfactory.storage.atomic import write_atomic

_log = logging.getLogger(__name__)

FEWEST = 16
"""Captions that a growing list has at least: what a batch of embeddings is enough for."""


@dataclass(frozen=True)
class Ranked:
    """A list of captions, best first.

    Attributes:
        prompts: as far as they have been ranked.
        of: how many there are in all.
    """

    prompts: Sequence[Prompt]
    of: int

    def serves(self, count: int) -> bool:
        """Whether ``count`` prompts can be taken from it."""
        return len(self.prompts) >= min(count, self.of)


Captions = Mapping[tuple[int, int], Ranked]
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
        limit=config.most,
    )
    return collect(corpus.captions(), len(classes), run_matcher(classes), rules)


def rank(
    findings: Findings,
    config: PromptsConfig,
    classes: Sequence[ClassWords],
    embed_factory: Callable[[int], Embedder],
    count: int | None = None,
) -> dict[tuple[int, int], Ranked]:
    """Rank what was gathered: BM25 chooses ``config.most`` captions per list, embeddings order them.

    Says in the log which classes the corpus lacks.

    Args:
        findings: what was gathered.
        config: the stage's settings.
        classes: the run's.
        embed_factory: gives the embedder, told how many texts there will be.
        count: captions wanted per list, where ``config.pool`` leaves that open; None for all.
    """
    chosen: dict[tuple[int, int], list[tuple[Candidate, float]]] = {}
    for position, words in enumerate(classes):
        for objects in object_counts(config, len(classes)):
            candidates = findings.candidates.get((position, objects), [])
            if not candidates:
                _log.warning("%s", _lack(words.name, objects, findings.dropped[position].total()))
                continue
            chosen[position, objects] = rank_bm25(candidates, config.most)
    growing = config.pool is None
    wanted = {place: len(best) if count is None else min(count, len(best)) for place, best in chosen.items()}
    texts = {place: min(len(best), window(wanted[place]) if growing else len(best)) for place, best in chosen.items()}
    embed = embed_factory(sum(texts.values()) + len(texts))
    captions: dict[tuple[int, int], Ranked] = {}
    for place, best in chosen.items():
        query = object_phrase(classes[place[0]])
        if growing:
            found = choose_growing(best, query, embed, config.mmr_lambda, wanted[place])
        else:
            found = [item for item, _ in diversify(best, query, embed, config.mmr_lambda)]
        prompts = [
            Prompt(item.caption.text, item.caption.source, tuple(classes[label].name for label in item.labels))
            for item in found
        ]
        captions[place] = Ranked(prompts, len(best))
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
    found = captions.get((position, count), Ranked((), 0))
    size = found.of + expander.count(position, count)
    use, place = divmod(index // len(counts), size)
    if place < found.of:
        prompt = found.prompts[place]
        text = steering.extend(prompt.text, wishes)
    else:
        prompt = expander.make(position, count, place - found.of)
        text = steering.fill(prompt.text, wishes)
    prompt = replace(prompt, text=text)
    return replace(prompt, source=f"{prompt.source}#{use + 1}") if use else prompt


def save_pool(path: Path, identity: Mapping[str, Any], captions: Captions) -> None:
    """Write ranked captions as JSON, in one visible step; the same captions give the same bytes."""
    lists = [
        {
            "class": position,
            "objects": count,
            "captions": [[item.text, item.source, item.classes] for item in found.prompts],
        }
        | ({"of": found.of} if found.of > len(found.prompts) else {})
        for (position, count), found in sorted(captions.items())
    ]
    text = json.dumps({"identity": identity, "lists": lists}, ensure_ascii=False, sort_keys=True, indent=1)
    write_atomic(path, text.encode())


def load_pool(path: Path, identity: Mapping[str, Any], count: int | None) -> dict[tuple[int, int], Ranked] | None:
    """Read what :func:`save_pool` wrote; None when it is not there, was made from other inputs, or is too short.

    Args:
        path: the file.
        identity: of the stage.
        count: captions wanted per list; None for all.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        if content["identity"] != json.loads(json.dumps(identity)):
            return None
        found = {}
        for item in content["lists"]:
            prompts = [Prompt(text, source, tuple(classes)) for text, source, classes in item["captions"]]
            found[item["class"], item["objects"]] = Ranked(prompts, item.get("of", len(prompts)))
        return found if all(one.serves(count or one.of) for one in found.values()) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
