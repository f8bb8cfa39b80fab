"""What a class has to be told from: other things that a picture may show, and what lies around things."""

from collections.abc import Sequence

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.prompts.vocabulary import class_words, entries

STUFF = ("building", "road", "sidewalk", "wall", "fence", "pole", "vegetation", "terrain", "sky")
"""Entries of the bundled word list that are no things."""

BACKGROUND = ("background", "sky", "grass", "sand", "snow", "water", "road", "wall", "night")


def other_things(classes: Sequence[ClassSpec]) -> list[ClassSpec]:
    """Things of the bundled word list that are not asked for and may be in the picture all the same.

    A class that the list does not know may well be a wider or a narrower word for one that it knows ("animal",
    "puppy"): they would compete for the same things. Then there are no others.

    Args:
        classes: those asked for.

    Example:
        >>> others = [spec.name for spec in other_things([ClassSpec(name="dog"), ClassSpec(name="couch")])]
        >>> "cat" in others, "dog" in others, "sofa" in others
        (True, False, False)
        >>> other_things([ClassSpec(name="animal")])
        []
    """
    known = {name: set(class_words(ClassSpec(name=name)).names) for name in entries()}
    asked = [{spec.name, *class_words(spec).names} for spec in classes]
    if not all(any(words & names for names in known.values()) for words in asked):
        return []
    mine = {word for words in asked for word in words}
    return [ClassSpec(name=name) for name, names in known.items() if name not in STUFF and not names & mine]


def backgrounds(classes: Sequence[ClassSpec]) -> list[ClassSpec]:
    """What lies around things, less the words that are asked for."""
    asked = {word for spec in classes for word in (spec.name, *class_words(spec).names)}
    return [ClassSpec(name=name) for name in BACKGROUND if name not in asked]
