import pytest
import yaml
from pydantic import BaseModel

from dsfactory.core.reading import read_yaml
from dsfactory.jobs.describe import changed_settings, changed_yaml, commented_yaml, reference_page, settings
from dsfactory.stages import RunConfig

CONFIG = RunConfig(
    classes={"dog": ["puppy"], "bird": []}, num=3, generate={"steps": 9, "negative_prompt": "# blur: no"},
    refine={"resolution_weights": {16: 1.0, 64: 2.0}}, splice={"mix": "2x2"},
)  # fmt: skip


def fields(kind, path=()):
    for name, field in kind.model_fields.items():
        yield (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, (*path, name))


def test_every_field_is_there_with_a_sentence():
    found = list(settings())
    assert [item.path for item in found] == list(fields(RunConfig))
    assert all(len(item.text) > 10 and item.values for item in found)


def test_defaults_are_those_of_the_code():
    found = {item.path: item for item in settings()}
    assert found["filter", "segment", "steps"].default == RunConfig(classes=["dog"]).filter.segment.steps
    assert found["generate", "model"].default == "pocket"
    assert found["generate", "steps"].values == "integer from 1 to 1000, or null"
    assert found["generate", "dtype"].values == "auto, fp32, bf16, fp16"
    assert not found["generate", "batch_size"].affects_output


@pytest.mark.parametrize("config", [CONFIG, RunConfig(classes=["traffic light"])])
@pytest.mark.parametrize("write", [commented_yaml, changed_yaml])
def test_what_is_written_reads_back_the_same(tmp_path, config, write):
    file = tmp_path / "run.yaml"
    file.write_text(write(config), encoding="utf-8")
    assert RunConfig(**read_yaml(file)) == config


def test_every_setting_of_the_commented_file_has_its_comment():
    lines = commented_yaml(CONFIG).splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert lines[number - 1].lstrip().startswith("# ")
    assert max(map(len, lines)) <= 120
    assert "  # Denoising steps per image. (integer from 1 to 1000, or null; default null)" in lines


def test_changed_settings_alone():
    assert changed_settings(CONFIG)["generate"] == {"steps": 9, "negative_prompt": "# blur: no"}
    text = changed_yaml(CONFIG, only_changed=True)
    assert "  steps: 9  # default null" in text
    assert "prompts" not in text
    assert RunConfig(**yaml.safe_load(text)) == CONFIG


def test_page_has_a_row_for_every_setting():
    page = reference_page()
    for item in settings():
        if not item.section:
            assert f"| `{item.path[-1]}`" in page
    assert "## filter.segment" in page
    columns = {line.replace("\\|", "").count("|") for line in page.splitlines() if line.startswith("|")}
    assert columns == {5}
