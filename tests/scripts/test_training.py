"""The trainers' steps, resume and packaging, on a handful of scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("resvg_py")

from diffusers import StableDiffusionPipeline

from scripts.pocket import crispness, grounding, package, realism, text, train_decoder, train_unet, train_vae
from scripts.pocket.captions import load_captions
from scripts.pocket.dataset import iterate_scenes
from scripts.pocket.stickers import load_stickers
from scripts.pocket.training import Clock, MeanWeights, learning_rate


def test_learning_rate_warms_up_holds_and_decays() -> None:
    rates = [learning_rate(1.0, fraction) for fraction in (0.0, 0.01, 0.02, 0.3, 0.65, 1.0)]
    assert rates == pytest.approx([0.02, 0.5, 1.0, 1.0, 0.505, 0.01])


def test_clock_stops_at_its_budget() -> None:
    clock = Clock(budget_s=100.0, elapsed_s=99.999)
    clock._last -= 5
    assert clock.tick() == 1.0
    assert clock.elapsed_s == pytest.approx(104.999, abs=0.5)


def test_mean_weights_follow_and_replace() -> None:
    layer = torch.nn.Linear(2, 1)
    mean = MeanWeights({"layer": layer}, decay=0.5)
    with torch.no_grad():
        start = layer.weight.clone()
        layer.weight += 1.0
    mean.update()  # warm-up: decay is (1 + 1) / (10 + 1)
    mean.copy_to_modules()
    assert torch.allclose(layer.weight, start + 9 / 11)


def test_tokenizer_is_a_clip_tokenizer_for_any_text() -> None:
    tokenizer = text.train_tokenizer(["a dog on the grass", "a dog and a bird"] * 4, merges=50)
    ids = text.encode_ids(tokenizer, ["A dog", "Zürich ✈ 42!"])
    assert ids.shape == (2, 77)
    assert ids[0, 0] == tokenizer.bos_token_id and ids[0, 3] == ids[0, -1] == tokenizer.eos_token_id
    assert tokenizer.tokenize("dog") == ["dog</w>"]
    assert tokenizer.decode(ids[1], skip_special_tokens=True).replace(" ", "") == "zürich✈42!"
    assert tokenizer("A dog", return_offsets_mapping=True).offset_mapping[1:3] == [(0, 1), (2, 5)]


def test_weights_cut_only_low_noise() -> None:
    alphas = torch.tensor([0.999, 0.9, 5 / 6, 0.5, 0.0])
    assert train_unet.snr_weights(alphas).tolist() == pytest.approx([0.006, 0.6, 1.0, 1.0, 1.0], rel=1e-3)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, packages: Path, caption_file: Path) -> Path:
    """A work folder with twelve scenes of a dog and a bird."""
    folder = tmp_path_factory.mktemp("work")
    stickers = load_stickers(packages, ("style-a",), {"dog": ("dog",), "bird": ("bird",)})
    scenes = list(iterate_scenes(stickers, load_captions(caption_file), 12, seed=0, size=128))
    np.save(folder / "images.npy", np.stack([scene.image for scene, _, _ in scenes]))
    np.save(folder / "labels.npy", np.stack([scene.labels for scene, _, _ in scenes]))
    rows = [json.dumps({"caption": caption, "classes": scene.classes}) for scene, caption, _ in scenes]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_scenes_are_the_same_whoever_renders_them(packages: Path, caption_file: Path) -> None:
    stickers = load_stickers(packages, ("style-a",), {"dog": ("dog",), "bird": ("bird",)})
    alone, together = (
        list(iterate_scenes(stickers, load_captions(caption_file), 130, seed=3, size=32, workers=workers))
        for workers in (1, 2)
    )
    assert [row[1:] for row in alone] == [row[1:] for row in together]
    assert all(np.array_equal(a.image, b.image) for (a, _, _), (b, _, _) in zip(alone, together, strict=True))


@pytest.mark.long
def test_train_resume_and_package(
    work: Path, caption_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps of each trainer, each as two runs, then a folder that diffusers opens and draws with."""
    for _ in range(2):
        train_vae.main(["--work", str(work), "--batch-size", "2", "--max-steps", "1", "--device", "cpu"])
    coder = torch.load(work / "vae.pt", weights_only=True)
    assert coder["step"] == 2

    arguments = ["--work", str(work), "--captions", str(caption_file), "--batch-size", "2", "--device", "cpu"]
    for _ in range(2):
        train_unet.main([*arguments, "--max-steps", "1"])
    state = torch.load(work / "unet.pt", weights_only=True)
    assert state["step"] == 2 and state["elapsed_s"] > 0
    capsys.readouterr()
    train_unet.main([*arguments, "--minutes", str(state["elapsed_s"] / 120)])
    assert "done: 2 steps" in capsys.readouterr().out  # the budget is spent: nothing more is trained

    later = work / "later"
    later.mkdir()
    for name in ("images.npy", "labels.npy", "latents.npy", "rows.jsonl", "tokenizer"):
        (later / name).symlink_to(work / name)
    train_unet.main([*arguments, "--max-steps", "0", "--work", str(later), "--init", str(work / "unet.pt")])
    begun = torch.load(later / "unet.pt", weights_only=True)["unet"]
    names = train_unet.parameter_names(state["unet"])
    assert all(torch.equal(begun[k], mean) for k, mean in zip(names, state["mean"]["unet"], strict=True))

    out = work / "package"
    package.main(["--work", str(work), "--out", str(out)])
    pipeline = StableDiffusionPipeline.from_pretrained(out)
    assert {pipeline.unet.dtype, pipeline.vae.dtype, pipeline.text_encoder.dtype} == {torch.float32}
    stored = [p for p in pipeline.unet.parameters()]
    expected = state["mean"]["unet"]
    assert all(torch.equal(a, b.half().float()) for a, b in zip(stored, expected, strict=True))
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a dog", num_inference_steps=2).images[0].size == (128, 128)

    monkeypatch.setattr(train_decoder, "CRITICS_ALONE", 1)  # the second step listens to them
    arguments = ["--model", str(out), "--work", str(work), "--batch-size", "2", "--drawn", "4", "--device", "cpu"]
    for _ in range(2):
        train_decoder.main([*arguments, "--out", str(work / "crisp"), "--max-steps", "1"])
    assert torch.load(work / "decoder.pt", weights_only=True)["steps"] == 2
    assert not any(str(out) in path.read_text("utf-8") for path in (work / "crisp").rglob("*.json"))
    crisp = StableDiffusionPipeline.from_pretrained(work / "crisp")
    pairs = zip(pipeline.vae.named_parameters(), crisp.vae.parameters(), strict=True)
    same = {name: torch.equal(before, after) for (name, before), after in pairs}
    assert all(kept for name, kept in same.items() if name.startswith("encoder"))
    assert not any(kept for name, kept in same.items() if name.startswith("decoder") and name.endswith("weight"))
    assert all(torch.equal(a, b) for a, b in zip(pipeline.unet.parameters(), crisp.unet.parameters(), strict=True))


@pytest.mark.long
def test_critics_learn_to_tell_blurred_pictures_and_lead_away_from_them(work: Path) -> None:
    sharp = train_vae.to_tensor(np.load(work / "images.npy"), torch.device("cpu"))
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2)
    features = realism.Features()
    with torch.no_grad():
        real, soft = features(sharp), features(blurred)
    assert [tuple(maps.shape[1:]) for maps in real] == [(16, 64, 64), (24, 32, 32), (40, 16, 16), (112, 8, 8)]
    assert realism.perceptual_loss(real, real) == 0 < realism.perceptual_loss(soft, real)

    torch.manual_seed(0)
    critics = realism.Critics()
    optimizer = torch.optim.AdamW(critics.parameters(), lr=5e-3)
    losses = []
    for _ in range(20):
        loss = critics.loss(real, [soft])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert critics.realism([real]) > critics.realism([soft])


def test_package_without_training_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"run train_vae.py and train_unet.py first"):
        package.assemble(tmp_path)


def test_grounding_teaches_attention_where_things_are(work: Path, caption_file: Path) -> None:
    """Gradient steps on one batch lower the loss, and what is captured afterwards lies in the masks."""
    captions = [json.loads(line)["caption"] for line in (work / "rows.jsonl").read_text("utf-8").splitlines()]
    tokenizer = text.train_tokenizer(captions, merges=50)
    weights = grounding.token_weights(tokenizer, work / "rows.jsonl")
    assert weights.sum((1, 2)).min() > 0 and weights[:, 0].max() == 0  # the start token names nothing
    masks = grounding.mask_grids(np.load(work / "labels.npy"))
    assert masks.shape == (12, 256, 3)
    assert masks[:, :, 0].mean().item() == pytest.approx((np.load(work / "labels.npy") == 1).mean(), abs=1e-4)

    torch.manual_seed(0)
    unet = train_unet.build_unet()
    encoder = text.build_text_encoder(tokenizer, train_unet.TEXT_WIDTH, train_unet.TEXT_LAYERS)
    truth = grounding.GroundingLoss(unet)
    truth.weights = weights[:4]
    optimizer = torch.optim.AdamW([*unet.parameters(), *encoder.parameters()], lr=2e-3)
    pictures = masks[:4].sum(2).reshape(4, 1, 16, 16).expand(4, 8, 16, 16) * 2 - 1
    losses = []
    for _ in range(12):
        states = encoder(text.encode_ids(tokenizer, captions[:4])).last_hidden_state
        unet(pictures, torch.full((4,), 100), states)
        loss = truth.loss(masks[:4]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-3:]) < 0.8 * losses[0]


def test_grounding_leaves_out_what_the_caption_does_not_name(work: Path) -> None:
    unet = train_unet.build_unet()
    truth = grounding.GroundingLoss(unet)
    truth.weights = torch.zeros(1, 77, 3)
    unet(torch.randn(1, 8, 16, 16), torch.tensor([100]), torch.randn(1, 77, train_unet.TEXT_WIDTH))
    assert truth.loss(torch.ones(1, 256, 3)).item() == 0.0


def test_frechet_distance_is_that_of_gaussians() -> None:
    """Of normal distributions with diagonal covariance: squared differences of means and of deviations."""
    torch.manual_seed(0)
    noise = torch.randn(200_000, 3, dtype=torch.float64)
    first, second = noise[::2] * torch.tensor([1.0, 2.0, 3.0]), noise[1::2] * torch.tensor([2.0, 2.0, 1.0]) + 1.0
    assert crispness.frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)
    assert crispness.frechet_distance(first, second) == pytest.approx((3 + 1 + 4) / 14, rel=0.02)


def test_an_untrained_decoder_is_farther_away(work: Path) -> None:
    vae = train_vae.build_vae()
    scenes = np.load(work / "images.npy")
    found = crispness.measure(vae, scenes, torch.randn(12, 8, 16, 16))
    assert found["coded"] > 2 * found["rendered"] > 0 and found["drawn"] > 2 * found["rendered"]
