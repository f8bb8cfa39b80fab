"""What the stage hands on for one image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """A text for the image model.

    Attributes:
        text: the prompt.
        source: where it comes from: ``coco-val2017:<caption id>``, ``parti:<line>``, ``file:<line>``,
            ``subclass:<word>`` or ``template``; ``#2`` behind it counts its second use.
        classes: names of the run's classes that it names, the one asked for first.
    """

    text: str
    source: str
    classes: tuple[str, ...]
