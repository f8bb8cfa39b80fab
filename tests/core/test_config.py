import pytest
from pydantic import Field

from dsfactory.core.classes import ClassSpec, check_class_name, check_classes, read_class_file, slug
from dsfactory.core.reading import read_yaml
from dsfactory.core.section import Section, parse_section
from dsfactory.errors import UserError


class Inner(Section):
    steps: int = Field(20, ge=1, description="How many.")
    device: str = Field("cpu", description="Where.", json_schema_extra={"affects_output": False})


class Outer(Section):
    classes: tuple[ClassSpec, ...] = ()
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("name", "tidy"),
    [("dog", "dog"), ("  traffic   light ", "traffic light"), ("jalapeño", "jalapeño"), ("T-shirt", "T-shirt")],
)
def test_class_names_people_use(name, tidy):
    assert check_class_name(name) == tidy


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("../etc/passwd", "looks like a path"),
        ("C:\\dogs", "looks like a path"),
        ("dog/cat", "looks like a path"),
        ("x" * 500, "500 characters"),
        ("собака", "Latin letters"),
        ("dog\x00", "Latin letters"),
        ("🐶", "Latin letters"),
        ("..", "Latin letters"),
        ("<b>dog</b>", "looks like a path"),
        ("---", "no letter or digit"),
    ],
)
def test_class_names_that_cannot_be(name, says):
    with pytest.raises(ValueError, match=says) as caught:
        check_class_name(name)
    assert len(str(caught.value)) < 200


def test_slugs_are_safe_in_paths():
    assert slug("Jalapeño & T-shirt") == "jalapeno-t-shirt"


def test_a_class_named_twice_is_refused():
    with pytest.raises(ValueError, match="'Dog' is named twice"):
        check_classes((ClassSpec(name="dog"), ClassSpec(name="Dog")))


def test_no_class_and_too_many():
    with pytest.raises(ValueError, match="--classes"):
        check_classes(())
    with pytest.raises(ValueError, match="255 classes are too many"):
        check_classes(tuple(ClassSpec(name=f"class {number}") for number in range(255)))


def test_class_file(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("# mine\ndog: puppy, hound\n\ntraffic light  # red\n", encoding="utf-8-sig")
    assert read_class_file(path) == [
        {"name": "dog", "synonyms": ["puppy", "hound"]},
        {"name": "traffic light", "synonyms": []},
    ]
    path.write_bytes(b"dog\n\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_class_file(path)
    with pytest.raises(UserError, match="No such file"):
        read_class_file(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"inner": {"stepz": 3}}, "run.yaml: there is no setting 'inner.stepz': did you mean 'steps'?"),
        ({"iner": {}}, "did you mean 'inner'?"),
        ({"zzz": 1}, "known here: classes, inner"),
        ({"inner": {"steps": 0}}, "inner.steps: input should be greater than or equal to 1 (got 0)"),
        ({"inner": {"steps": "many"}}, "inner.steps"),
        ({"classes": [{"name": "a/b"}]}, "looks like a path"),
        ({"inner": 3}, "inner"),
    ],
)
def test_mistakes_are_one_clear_line(values, says):
    with pytest.raises(UserError) as caught:
        parse_section(Outer, values, "run.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_identity_leaves_out_what_does_not_change_the_bytes():
    assert Inner(steps=3, device="cuda").identity() == Inner(steps=3).identity() == {"steps": 3}


@pytest.mark.parametrize("text", ["a: [", "- a\n- b", "3: x", "just words", "a: !!python/object:os.system x"])
def test_yaml_that_is_not_a_config(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"run\.yaml"):
        read_yaml(path)


def test_empty_yaml_is_an_empty_config(tmp_path):
    (tmp_path / "run.yaml").write_text("# nothing yet\n")
    assert read_yaml(tmp_path / "run.yaml") == {}
