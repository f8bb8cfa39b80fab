"""The test beds as those who read attention want them: a pipeline of the UNet, a reader of the transformer."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.joint import JointAttentionCapture
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import Recipe
from dsfactory.stages.generate.recipes.concepts import BACKGROUNDS
from dsfactory.stages.generate.recipes.content import content_spans, with_content
from dsfactory.stages.generate.tokens import class_tokens, token_weights
from dsfactory.stages.prompts.expand import with_article
from dsfactory.stages.prompts.vocabulary import class_words
from research.testbeds.dataset import POCKET
from research.testbeds.models import SIDE, TOKENS, Bed
from scripts.pocket.train_unet import NOISE_SCHEDULE
from scripts.pocket.train_vae import to_tensor

TIMES = (0.1, 0.2, 0.3, 0.4)
SEEDS = 3


def unet_pipeline(bed: Bed) -> StableDiffusionPipeline:
    """The UNet bed as a Stable Diffusion pipeline, with the pocket's coder."""
    vae = AutoencoderTiny.from_pretrained(POCKET / "vae").float().eval()
    vae.register_to_config(scaling_factor=bed.scale)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=bed.text_encoder.eval(),
        tokenizer=bed.tokenizer,
        unet=bed.image_model.eval(),
        scheduler=DDIMScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing", steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


class JointReader:
    """Evidence of classes in given pictures by the transformer bed, as ``Annotator`` reads a UNet's.

    Args:
        bed: the transformer.
    """

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._vae = AutoencoderTiny.from_pretrained(POCKET / "vae").float().eval()

    @torch.no_grad()
    def evidences(
        self, image: NDArray[np.uint8], seed: int, classes: Sequence[ClassSpec], recipes: Sequence[Recipe]
    ) -> list[Evidence]:
        """One :class:`Evidence` for each recipe; ``image`` is uint8 RGB ``(128, 128, 3)``."""
        device = next(self._bed.image_model.parameters()).device
        latents = self._vae.encode(to_tensor(image[None], torch.device("cpu"))).latents * self._bed.scale
        clean = latents.to(device).expand(SEEDS, -1, -1, -1)
        noise = torch.randn(len(TIMES), *clean.shape, generator=torch.Generator().manual_seed(seed)).to(device)
        text, spans = "a photo of ", []
        for place, spec in enumerate(classes):
            noun = class_words(spec).noun
            text += (" and " if place else "") + with_article(noun)
            spans.append([(len(text) - len(noun), len(text))])
        states = self._bed.text_encoder(self._bed.ids([text]).to(device)).last_hidden_state.expand(SEEDS, -1, -1)
        tokens = class_tokens(self._bed.tokenizer, text, [*spans, *content_spans(text)], TOKENS["joint"])
        weights = token_weights([tokens[: len(classes)]], (TOKENS["joint"], len(classes)))
        words = [*(class_words(spec).noun for spec in classes), *BACKGROUNDS]
        read = [class_tokens(self._bed.tokenizer, word, [[(0, len(word))]], TOKENS["joint"])[0] for word in words]
        alone = self._bed.text_encoder(self._bed.ids(words).to(device)).last_hidden_state
        concepts = torch.stack([one[places].mean(0) for one, places in zip(alone, read, strict=True)])[None]
        found = []
        for recipe in recipes:
            asked = with_content(weights, [tokens[len(classes) :]]) if recipe.content else weights
            query = ClassQuery(
                (len(classes),) * SEEDS,
                asked.expand(SEEDS, -1, -1).to(device),
                content=recipe.content,
                states=concepts.expand(SEEDS, -1, -1) if recipe.concepts else None,
                state_mask=torch.ones(SEEDS, concepts.shape[1], dtype=torch.bool, device=device),
            )
            capture = JointAttentionCapture(
                self._bed.image_model,
                query,
                grid=(SIDE, SIDE),
                recipe=recipe,
                affinity_steps=range(len(TIMES)),
                pooled=True,
            )
            with capture:
                for time, one in zip(TIMES, noise, strict=True):
                    times = torch.full((SEEDS,), time, device=device)
                    self._bed.predict(self._bed.noised(clean, one, times)[0], times, states)
            found += capture.evidence()
        return found
