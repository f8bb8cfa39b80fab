import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.generate.tokens import class_prompt, class_tokens
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests.tiny_models import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def named(tokenizer, text, *specs):
    """Per class, the text of the tokens that name it."""
    classes = [ClassSpec(name=spec) if isinstance(spec, str) else spec for spec in specs]
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    found = class_tokens(tokenizer, text, find_mentions(text, classes))
    return [[pieces[index].replace("</w>", "") for index in indices] for indices in found]


@pytest.mark.parametrize(
    ("text", "name", "tokens"),
    [
        ("a photo of a dog", "dog", ["dog"]),
        ("A DOG and the Dogs", "dog", ["dog", "dogs"]),
        ("the dog's bird", "dog", ["dog"]),
        ("dogma, adog, dog_house", "dogma", [*"dogma"]),
        ("hotdog in the hotdogs", "dog", []),
        ("a traffic light on", "traffic light", ["traffic", "light"]),
        ("a Traffic-Light on", "traffic light", ["traffic", "-", "light"]),
        ("two zebras", "zebra", [*"zebras"]),
        ("café, cafés", "café", [*"cafÃ©", *"cafÃ©s"]),
        ("a puppy", ClassSpec(name="dog", synonyms=("puppy",)), [*"puppy"]),
        ("no animal", "dog", []),
    ],
)
def test_tokens_are_those_of_the_mention(tokenizer, text, name, tokens):
    assert named(tokenizer, text, name) == [tokens]


def test_every_class_has_its_own_tokens(tokenizer):
    assert named(tokenizer, "a dog and the dogs on a cat", "cat", "bird", "dog") == [["cat"], [], ["dog", "dogs"]]


def test_indices_count_from_the_start_token(tokenizer):
    text = "a photo of a dog"
    assert class_tokens(tokenizer, text, [[(13, 16)]]) == [[5]]
    assert tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)[5] == "dog</w>"


@pytest.mark.parametrize(("before", "indices"), [(74, [75]), (75, []), (90, [])])
def test_a_mention_that_the_encoder_does_not_read_is_none(tokenizer, before, indices):
    # 77 tokens less start and end leave 75 for the text.
    text = "a " * before + "dog"
    assert class_tokens(tokenizer, text, find_mentions(text, [ClassSpec(name="dog")])) == [indices]


def test_a_mention_cut_in_two_is_none(tokenizer):
    text = "a " * 74 + "traffic light, "
    assert class_tokens(tokenizer, text, find_mentions(text, [ClassSpec(name="traffic light")])) == [[]]
    text += "a"
    assert class_tokens(tokenizer, text, [[(0, 1), (2 * 74, 2 * 74 + 13)]]) == [[1]]


def test_class_prompt_puts_the_wanted_first_and_finds_only_them():
    text, spans = class_prompt(["dog", "traffic light", "cat"], [False, True, True])
    assert text == "traffic light; cat; dog"
    assert [[text[start:stop] for start, stop in own] for own in spans] == [[], ["traffic light"], ["cat"]]
