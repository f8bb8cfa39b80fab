from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("resvg_py")

from diffusers import StableDiffusionPipeline

from dsfactory.stages.annotate.annotator import Annotator
from scripts.pocket import judges, measure
from scripts.pocket.package import build_scheduler
from scripts.pocket.scenes import compose_scene, group_by_class
from scripts.pocket.stickers import Sticker, load_stickers
from scripts.pocket.text import build_text_encoder, train_tokenizer
from scripts.pocket.train_unet import TEXT_LAYERS, TEXT_WIDTH, build_unet
from scripts.pocket.train_vae import build_vae


@pytest.fixture(scope="module")
def stickers(packages: Path) -> list[Sticker]:
    return load_stickers(packages, ("style-a",), {name: (name,) for name in ("dog", "bird", "cat")})


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    """The pocket model's architecture with random weights."""
    tokenizer = train_tokenizer(["a photo of a dog and a bird and a cat"] * 4, merges=60)
    return StableDiffusionPipeline(
        vae=build_vae().eval(),
        text_encoder=build_text_encoder(tokenizer, TEXT_WIDTH, TEXT_LAYERS).eval(),
        tokenizer=tokenizer,
        unet=build_unet().eval(),
        scheduler=build_scheduler("ddim"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def test_overlap_is_mean_iou_and_an_empty_mask_scores_nothing() -> None:
    truth = np.zeros((2, 4, 4), bool)
    truth[:, :2] = True
    masks = np.zeros_like(truth)
    masks[0, 1:3] = True
    assert judges.overlap(masks, truth) == pytest.approx((4 / 12 + 0) / 2)


@pytest.mark.long
def test_judges_learn_what_a_glance_tells_and_are_kept(stickers: list[Sticker], tmp_path: Path) -> None:
    """Three plain shapes of three colours: a few steps suffice; the second call reads what the first trained."""
    trained = judges.train_judges(stickers, tmp_path / "judges.pt", scenes=288)
    assert trained.classes == ("dog", "bird", "cat")
    assert trained.held_out["classifier_accuracy"] > 0.8
    assert trained.held_out["segmenter_iou"] > 0.5
    kept = judges.train_judges(stickers, tmp_path / "judges.pt", scenes=288)
    assert kept.held_out == trained.held_out
    images, _, masks = judges.render_single(stickers, 6, seed=9)
    assert np.array_equal(judges.segment(kept.segmenter, images), judges.segment(trained.segmenter, images))
    assert judges.segment(kept.segmenter, images).shape == masks.shape


def test_a_scene_gives_evidence_for_each_of_its_classes(
    pipeline: StableDiffusionPipeline, stickers: list[Sticker]
) -> None:
    groups, rng = group_by_class(stickers), np.random.default_rng(0)
    scenes = [compose_scene(groups, classes, "sky", rng, 128) for classes in (("dog",), ("bird", "cat"))]
    annotator = Annotator(pipeline, timesteps=(100, 300), seeds=2, width=128, height=128)
    one, two = (measure.read_scene(annotator, scene, number) for number, scene in enumerate(scenes))
    assert one.cross[16, 16].shape == (1, 16, 16)
    assert two.cross[16, 16].shape == two.affinity[16, 16].shape == (2, 16, 16)
    assert two.cross[16, 16].min() > 0 and two.cross[16, 16].max() < 1
    rules = measure.masks_by_rule(scenes[1].image, two)
    assert {"cross ≥ 0.4", "affinity ≥ 0.4", "refine, affinity weight 0.5"} <= set(rules)
    assert all(set(np.unique(labels)) <= {0, 1, 2, 255} for labels in rules.values())


@pytest.mark.long
def test_mask_table_covers_every_class(pipeline: StableDiffusionPipeline, stickers: list[Sticker]) -> None:
    table = measure.measure_masks(pipeline, stickers, count=6, seed=1)
    for figures in table.values():
        assert set(figures) == {"dog", "bird", "cat", "mean"}
        assert all(0 <= value <= 1 for value in figures.values())
        assert figures["mean"] == pytest.approx(np.mean([figures[name] for name in ("dog", "bird", "cat")]))


def test_border_colour_tells_top_from_bottom() -> None:
    image = np.zeros((16, 16, 3), np.float32)
    image[:2], image[-2:], image[4:12] = (10, 20, 30), (40, 50, 60), 255
    assert measure.border_colour(image).tolist() == [10, 20, 30, 40, 50, 60]


def test_spread_is_the_mean_distance_of_pairs() -> None:
    assert measure.spread_of(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)
