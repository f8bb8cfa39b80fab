"""Images that are drawn to layouts: what is read, what attention is told, and what is said of bad input."""

import json

import numpy as np
import pytest
import torch

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import LAYOUT, OBJECTS
from dsfactory.errors import UserError
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.layouts.arrange import arrange, blob
from dsfactory.stages.generate.layouts.config import LayoutConfig
from dsfactory.stages.generate.layouts.control import segments
from dsfactory.stages.generate.layouts.layout import Layout, Placed
from dsfactory.stages.generate.layouts.source import find_layouts
from dsfactory.stages.generate.sampler import Request, Sampler, Target
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests.command import call_tiny, called, tree

DOG, BIRD = ClassSpec(name="dog"), ClassSpec(name="bird", synonyms=("sparrow",))
CLASSES = (DOG, BIRD)


def two_dogs() -> Placed:
    """Two dogs that touch, left of a bird; the lowest rows are void."""
    mask, objects = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    mask[8:40, :32], objects[8:40, :16], objects[8:40, 16:32] = 1, 1, 2
    mask[8:40, 40:], objects[8:40, 40:] = 2, 3
    mask[56:], objects[56:] = 255, 255
    return Placed(mask, objects)


def sampler(pipeline, **changes) -> Sampler:
    settings = {"width": 64, "height": 64, "steps": 2, "guidance": 5.0, "find_mentions": find_mentions}
    return Sampler(pipeline, **(settings | changes))


def requests(target: bool = True) -> list[Request]:
    to = Target(two_dogs(), (1, 2)) if target else None
    return [Request("a dog and a bird", seed, CLASSES, to) for seed in (1, 2)]


def images_of(drawings) -> np.ndarray:
    return np.stack([drawing.image for drawing in drawings])


@pytest.mark.parametrize("control", ["dense", "hard"])
def test_attention_follows_a_layout_and_evidence_does_not(load, control):
    pipeline = load("sd")
    before = dict(pipeline.unet.attn_processors)
    plain = list(sampler(pipeline).draw(requests(target=False)))
    drawn = list(sampler(pipeline, control=control).draw(requests()))
    assert all((one.image != other.image).any() for one, other in zip(plain, drawn, strict=True))
    assert pipeline.unet.attn_processors == before
    # A masked token has the probability 0 outside of its object: what is kept was read before.
    for drawing in drawn:
        assert all(maps.min() > 0 for maps in drawing.evidence.cross.values())


def test_images_without_a_target_stay_the_same_to_the_last_bit(load):
    plain, able = (
        list(sampler(load("sd"), **more).draw(requests(target=False))) for more in ({}, {"control": "dense"})
    )
    for one, other in zip(plain, able, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.evidence.to_bytes() == other.evidence.to_bytes()


def test_the_first_queries_and_keys_are_those_of_a_plain_drawing(load):
    """Before the first layer of the first step nothing has been steered: what is read there is equal."""
    from dsfactory.stages.generate.attention import AttentionCapture

    pipeline, found = load("sd"), []
    read = AttentionCapture._read_cross

    def first(self, layer, query, key):
        found.append((layer.name, query.clone(), key.clone()))
        read(self, layer, query, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttentionCapture, "_read_cross", first)
        list(sampler(pipeline, control="hard").draw(requests()))
        steered = found[0]
        found.clear()
        list(sampler(pipeline).draw(requests(target=False)))
    assert steered[0] == found[0][0]
    assert all(torch.equal(one, other) for one, other in zip(steered[1:], found[0][1:], strict=True))


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_published_strengths_and_other_unets(load, family):
    control = sampler(load(family), control="dense", strengths=LayoutConfig(recipe="densediffusion"))
    assert all(drawing.reason == "" for drawing in control.draw(requests()))


def test_positions_know_their_object_and_none_is_lost():
    layout = two_dogs()
    found = segments(torch.from_numpy(layout.objects), (8, 8)).reshape(8, 8)
    assert found[3].tolist() == [1, 1, 2, 2, 0, 3, 3, 3]
    assert found[7].tolist() == [255] * 8
    layout.objects[0, 0] = 9
    assert 9 in segments(torch.from_numpy(layout.objects), (8, 8))


def test_a_layout_of_another_shape_is_scaled_and_its_rest_is_void():
    mask = np.ones((10, 20), np.uint8)
    placed = Placed.of(Layout.of("a", mask, mask, ["dog"]).files, 64, 64)
    assert (placed.mask[16:48] == 1).all() and (placed.mask[:16] == 255).all() and (placed.mask[48:] == 255).all()


def test_arranged_objects_stay_visible_and_have_their_sizes():
    for seed in range(20):
        random = np.random.default_rng(seed)
        shapes = [(1, blob(random)), (2, blob(random)), (1, blob(random))]
        mask, objects = arrange(shapes, (96, 128), (0.1, 0.2), random)
        counts = np.bincount(objects.ravel())
        assert counts[1] >= 0.7 * 0.9 * 0.1 / 3**0.5 * mask.size
        assert set(np.unique(mask[objects == 2])) <= {1, 2}


def folder_of(path, **masks):
    (path / "ann_dir").mkdir(parents=True)
    for name, mask in masks.items():
        (path / "ann_dir" / f"{name}.png").write_bytes(encode_index_png(mask))
    return path


def layouts_of(path, classes=CLASSES, **more):
    return find_layouts(GenerateConfig(layouts=str(path), **more), classes, 0, path / "run", (1,))


def test_numbers_go_through_layouts_and_their_seeds(tmp_path):
    dog, both = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    dog[:4], both[:2], both[4:] = 1, 1, 2
    found = layouts_of(folder_of(tmp_path / "set", a=dog, b=both), layout_seeds=2)
    assert [found.of("dog", index).name[-5] for index in range(6)] == list("aabbaa")
    assert found.of("dog", 2).classes == ("bird", "dog")
    assert {found.of("bird", index).name[-5] for index in range(4)} == {"b"}


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path):
    many = np.zeros((40, 40), np.uint8)
    many[::2, ::2] = 1  # 400 objects
    dog, bird = np.full((4, 4), 1, np.uint8), np.full((4, 6), 2, np.uint8)
    void, other = np.full((4, 4), 255, np.uint8), np.full((4, 4), 9, np.uint8)
    folder = folder_of(tmp_path / "set", dog=dog, bird=bird, many=many, void=void, other=other)
    (folder / "ann_dir" / "text.png").write_text("no image")
    notes = layouts_of(folder).notes
    assert any("many.png has 400 objects, more than 254: left out" in note for note in notes)
    assert any("text.png is not a readable image" in note for note in notes)
    assert any("1 of 6 show no class of the run" in note for note in notes)


def test_classes_are_matched_by_name_and_synonym_and_others_are_background(tmp_path):
    categories = [{"id": 3, "name": "Sparrow"}, {"id": 7, "name": "zebra"}]
    box = [[0, 0, 8, 0, 8, 8, 0, 8]]
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": box, "iscrowd": 0},
                   {"id": 2, "image_id": 2, "category_id": 7, "segmentation": box, "iscrowd": 0}]  # fmt: skip
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 20, "height": 10} for number in (1, 2)]
    (tmp_path / "set").mkdir()
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "set" / "all.json").write_text(json.dumps(content))
    found = layouts_of(tmp_path / "set", (BIRD,))
    layout = found.of("bird", 0)
    assert layout.classes == ("bird",) and decode_index_png(layout.mask)[4, 4] == 1
    assert "layouts: the run has no class zebra: background" in found.notes


@pytest.mark.parametrize(("masks", "message"), [
    ({"a": np.full((4, 4), 255, np.uint8)}, "only background and void"),
    ({"a": np.full((4, 4), 1, np.uint8)}, "no layout shows 'bird'"),
    ({}, "no PNG masks"),
])  # fmt: skip
def test_folders_without_a_use_are_refused(tmp_path, masks, message):
    with pytest.raises(UserError, match=message):
        layouts_of(folder_of(tmp_path / "set", **masks))


def test_bad_settings_are_one_line_and_nothing_is_written(model_folder, tmp_path):
    with pytest.raises(UserError, match="lies in the run itself"):
        find_layouts(GenerateConfig(layouts=str(tmp_path / "export")), CLASSES, 0, tmp_path, (1,))
    for name, flags, message in (
        ("sd", ["--layouts", "nowhere"], "nowhere is not there: name a folder of masks"),
        ("sd", ["--control", "hard"], "name some with --layouts"),
        ("flux", ["--layouts", "random"], "is for Stable Diffusion 1, 2 and XL"),
    ):
        before = tree(tmp_path)
        done = called("generate", "--model", str(model_folder(name)), "--classes", "dog", *flags, "--out", "out",
                      cwd=tmp_path)  # fmt: skip
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert tree(tmp_path) == before


@pytest.mark.long
def test_a_run_is_drawn_to_the_objects_of_another_and_verifies(tiny_model, tiny_run, tmp_path):
    flags = ["--layouts", str(tiny_run), "--objects", "1-2", "--set", "refine.min_box=0",
             "--set", "refine.min_layout_iou=0"]  # fmt: skip
    done = call_tiny(tiny_model, "run", *flags, "--out", "a", "--format", "png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = Run.open(tmp_path / "a")
    drawn = [record for spec in run.shards() for record in run.reader("generate", spec).records()]
    assert {len(record.row["classes"]) for record in drawn} == {1, 2}
    for record in drawn:
        mask, objects = (decode_index_png(record.files[name]) for name in (LAYOUT, OBJECTS))
        assert mask.shape == objects.shape == (64, 64)
        names = [run.manifest.classes[number - 1].name for number in np.unique(mask[mask > 0])]
        assert sorted(names) == sorted(record.row["classes"])
        assert all(name in record.row["prompt"] for name in names)
    rows = [row for spec in run.shards() for row in run.reader("refine", spec).rows]
    assert all(0 <= iou <= 1 for row in rows for iou in row["layout_iou"])
    assert called("verify", "a", cwd=tmp_path).returncode == 0
    before = tree(tmp_path / "a")
    again = call_tiny(tiny_model, "run", *flags, "--out", "a", "--format", "png", cwd=tmp_path)
    assert again.returncode == 0 and tree(tmp_path / "a") == before
    other = call_tiny(tiny_model, "generate", "--layouts", "random", "--out", "a", cwd=tmp_path)
    assert other.returncode == 2 and "made with other settings" in other.stderr
