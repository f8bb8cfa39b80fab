"""Classes that a small model never learnt: what it makes of them is nonsense, and every command that counts says so."""

from collections.abc import Sequence

from dsfactory.core.classes import ClassSpec
from dsfactory.models.presets import PRESETS
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.prompts.vocabulary import class_words, near_word


def unlearnt(config: GenerateConfig, classes: Sequence[ClassSpec]) -> str:
    """A line about the classes that the model never learnt; empty when it knows them all, or knows the world."""
    preset = PRESETS.get(config.model)
    if preset is None or not preset.classes:
        return ""
    known = {word for name in preset.classes for word in class_words(ClassSpec(name=name)).phrases}
    unknown = [spec for spec in classes if known.isdisjoint({spec.word, *class_words(spec).names})]
    if not unknown:
        return ""
    slips = {spec.name: near_word(spec, preset.classes) for spec in unknown}
    listed = ", ".join(
        f"{name} (did you mean {near}?)" if near in preset.classes else name for name, near in slips.items()
    )
    return (
        f"{preset.name} never learnt {listed} (it knows {', '.join(preset.classes)}): "
        "expect nonsense, or use --model sd15"
    )
