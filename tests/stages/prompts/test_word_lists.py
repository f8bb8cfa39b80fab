"""The bundled word lists hold together."""

from collections import Counter

import pytest

from dsfactory.core.classes import ClassSpec, parse_class_list
from dsfactory.stages.prompts.expand import Expander, Templates
from dsfactory.stages.prompts.resources import data_file
from dsfactory.stages.prompts.retrieve import SAFE_BYTES
from dsfactory.stages.prompts.vocabulary import class_words, entries, find_mentions, read_words

VOC = parse_class_list(
    "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,"
    "sheep,sofa,train,tvmonitor"
)
CITYSCAPES = parse_class_list(
    "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,person,rider,car,truck,"
    "bus,train,motorcycle,bicycle"
)
COCO = parse_class_list(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)


@pytest.mark.parametrize("classes", [VOC, COCO, CITYSCAPES], ids=["voc", "coco", "cityscapes"])
def test_made_prompts_name_their_classes_and_no_other(classes: list[dict[str, str]]) -> None:
    specs = [ClassSpec.model_validate(item) for item in classes]
    names = [spec.name for spec in specs]
    expander = Expander([class_words(spec) for spec in specs], Templates.read())
    for position in range(len(specs)):
        for objects in (1, 2, 3):
            for number in range(0, min(25, expander.count(position, objects))):
                prompt = expander.make(position, objects, number)
                spans = find_mentions(prompt.text, specs)
                assert {names[place] for place, found in enumerate(spans) if found} == set(prompt.classes), prompt
                last = max(found[0][1] for found in spans if found)
                assert len(prompt.text[:last].encode()) <= SAFE_BYTES, prompt


@pytest.mark.parametrize("name", sorted({item["name"] for item in VOC + COCO + CITYSCAPES}))
def test_every_class_is_known(name: str) -> None:
    assert class_words(ClassSpec(name=name)).names
    assert any(name == known or name in entry.synonyms for known, entry in entries().items())


def test_a_synonym_leads_to_one_class_only() -> None:
    owners = Counter(word for name, entry in entries().items() for word in {name, *entry.synonyms})
    assert [word for word, count in owners.items() if count > 1] == []


def test_scenes_exist() -> None:
    groups = Templates.read().scenes
    assert {group for entry in entries().values() for group in entry.scenes} <= groups.keys()


@pytest.mark.parametrize("name", ["stop_words.txt", "excluded_phrases.txt"])
def test_word_lists_have_no_doubles(name: str) -> None:
    words = read_words(data_file(name).read_text("utf-8"))
    assert len(words) > 50
    assert [word for word, count in Counter(words).items() if count > 1] == []
