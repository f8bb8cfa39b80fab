"""Look into a corpus without a run: what ``dsfactory prompts`` prints."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsfactory.core.classes import ClassSpec
from dsfactory.core.section import parse_section
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.corpus import Corpus
from dsfactory.stages.prompts.expand import Expander, Templates, object_phrase
from dsfactory.stages.prompts.pool import gather, object_counts
from dsfactory.stages.prompts.retrieve import Embedder, diversify, rank_bm25
from dsfactory.stages.prompts.steer import Steering
from dsfactory.stages.prompts.vocabulary import class_words


@dataclass(frozen=True)
class Found:
    """A caption that names the word.

    Attributes:
        text: the caption.
        source: where it stands in the corpus.
        score: its BM25 score as a fraction of the best caption's, in (0, 1].
    """

    text: str
    source: str
    score: float


@dataclass(frozen=True)
class Supply:
    """What a corpus holds for a class of a run.

    Attributes:
        class_name: the class.
        captions: number of classes named to how many captions can be used.
        dropped: reason to how many captions name the class and cannot be used.
        made: number of classes named to how many different prompts templates and subclasses give.
    """

    class_name: str
    captions: dict[int, int]
    dropped: dict[str, int]
    made: dict[int, int]


def search(word: str, config: PromptsConfig, limit: int = 20, embed: Embedder | None = None) -> list[Found]:
    """The captions that a run of the one class ``word`` would use, best first.

    Args:
        word: a class name; its synonyms, subclasses and plurals count as mentions.
        config: corpus, column and rules.
        limit: most captions to return.
        embed: ranks for diversity as a run does; without it the order is that of BM25, and no model is needed.

    Raises:
        UserError: the word cannot be a class name, or the corpus cannot be used.
    """
    words = class_words(parse_section(ClassSpec, {"name": word}, "search"))
    alone = config.model_copy(update={"objects": "1", "pool": max(config.most, limit)})
    findings = gather(alone, Corpus(config.corpus, config.column), [words], Steering(config, [words], 0))
    ranked = rank_bm25(findings.candidates.get((0, 1), []), alone.most)
    if embed is not None:
        ranked = diversify(ranked, object_phrase(words), embed, config.mmr_lambda)
    return [Found(item.caption.text, item.caption.source, score) for item, score in ranked[:limit]]


def supply(classes: Sequence[ClassSpec], config: PromptsConfig) -> list[Supply]:
    """Count, per class, the prompts that a run of these classes can draw on. No model is needed.

    Raises:
        UserError: the corpus, a word list or the templates cannot be used.
    """
    words = [class_words(spec) for spec in classes]
    steering = Steering(config, words, 0)  # what it steers counts, not in which order
    expander = Expander(words, Templates.read(config.templates), steering)
    findings = gather(config, Corpus(config.corpus, config.column), words, steering)
    counts = object_counts(config, len(words))
    return [
        Supply(
            class_name=item.name,
            captions={count: findings.usable[position, count] for count in counts},
            dropped=dict(sorted(findings.dropped[position].items())),
            made={count: expander.count(position, count) for count in counts},
        )
        for position, item in enumerate(words)
    ]
