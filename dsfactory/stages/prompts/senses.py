"""Class names with more than one meaning: which one the built-in word list takes, and what to write for another."""

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.prompts.mentions import split_words
from dsfactory.stages.prompts.vocabulary import entries

MEANT = {
    "mouse": ("the computer mouse", "an animal: 'mouse=field mouse'"),
    "orange": ("the fruit", "the colour is no class"),
    "apple": ("the fruit", "another thing: 'apple=apple tree'"),
    "train": ("the railway train", "a dress's: 'train=wedding train'"),
    "tie": ("the necktie", "a railway's: 'tie=railway tie'"),
    "remote": ("the remote control", "another thing by its own name"),
    "keyboard": ("the computer keyboard", "the instrument: 'keyboard=piano keyboard'"),
    "sink": ("the basin", "another thing by its own name"),
}
"""Of classes that the list has: what it takes them for, and how to ask for another meaning."""

OPEN = {
    "bat": ("bat animal", "baseball bat"), "bass": ("bass fish", "bass guitar"),
    "beetle": ("beetle insect", "vw beetle"), "bow": ("ribbon bow", "archery bow"),
    "buffalo": ("water buffalo", "bison"), "bug": ("insect", "vw beetle"), "bulb": ("light bulb", "tulip bulb"),
    "cardinal": ("cardinal bird", "cardinal priest"), "club": ("golf club", "night club"),
    "crane": ("crane bird", "construction crane"), "cricket": ("cricket insect", "cricket player"),
    "drill": ("power drill", "drill monkey"), "fan": ("electric fan", "folding hand fan"),
    "fly": ("house fly", "fishing fly"), "glass": ("drinking glass", "window glass"),
    "horn": ("animal horn", "french horn"), "jaguar": ("jaguar animal", "jaguar car"),
    "kiwi": ("kiwi fruit", "kiwi bird"), "mole": ("mole animal", "mole on skin"),
    "monitor": ("computer monitor", "monitor lizard"), "mustang": ("mustang horse", "ford mustang"),
    "nail": ("iron nail", "fingernail"), "nut": ("walnut", "hex nut"), "organ": ("church organ", "human organ"),
    "palm": ("palm tree", "palm of a hand"), "pen": ("ballpoint pen", "sheep pen"),
    "pipe": ("metal pipe", "smoking pipe"), "pitcher": ("water pitcher", "baseball pitcher"),
    "plant": ("green plant", "power plant"), "ram": ("male sheep", "pickup truck"),
    "ray": ("manta ray", "ray of light"), "ruler": ("wooden ruler", "king"), "scale": ("kitchen scale", "fish scale"),
    "seal": ("seal animal", "wax seal"), "spring": ("metal spring", "hot spring"),
    "squash": ("squash vegetable", "squash racket"), "tank": ("army tank", "water tank"),
    "trunk": ("tree trunk", "elephant trunk"), "turkey": ("turkey bird", "roast turkey"),
    "vessel": ("ship", "clay vessel"), "watch": ("wrist watch", "night watch"),
}  # fmt: skip
"""Words that the list does not have, with two of their meanings, written so that a model can tell them apart."""


def sense_of(spec: ClassSpec) -> str:
    """A line about a class whose word has several meanings; empty for the others, and where the user has chosen."""
    word = " ".join(split_words(spec.word))
    if spec.synonyms:
        return ""
    if word in MEANT and word in entries():
        meant, other = MEANT[word]
        return f"{spec.name!r} is taken for {meant}; for {other}"
    if word in OPEN:
        one, two = OPEN[word]
        return f"{spec.name!r} has several meanings, and the model decides: '{word}={one}' or '{word}={two}' says which"
    return ""
