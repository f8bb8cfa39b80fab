"""Reading a model's attention to classes in a given picture, without drawing anything.

The picture's latents are noised to a few timesteps and passed through the UNet once each, as in one step of training;
what the cross-attention of the class words then looks at is the same evidence that drawing gives (DatasetDM, Wu et al.
2023, arXiv 2308.06160, section 3.2, reads one noisy step of a real picture the same way). Which classes are there is
decided in presence.py.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.annotate.concepts import ConceptCapture
from dsfactory.stages.generate.attention import AttentionCapture
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import MEAN, Recipe
from dsfactory.stages.generate.recipes.content import content_spans, with_content
from dsfactory.stages.generate.recipes.late import late_passes
from dsfactory.stages.generate.text import TextState, TextStates
from dsfactory.stages.generate.tokens import Spans, class_tokens, token_weights
from dsfactory.stages.prompts.expand import with_article
from dsfactory.stages.prompts.vocabulary import class_words

MAX_ASPECT = 4.0
"""Longer and narrower pictures are squeezed to this ratio: no model was trained on more."""

CLASSES_PER_PROMPT = 4
"""Classes in a prompt at most; more are asked for in several: captions that models learn from name few things."""


@dataclass(frozen=True)
class Noisy:
    """A picture's noisy latents, on the UNet's device.

    Attributes:
        size: width and height in pixels at which the picture was encoded.
        steps: per timestep, its number, the latents and what the UNet should predict of them, both
            ``(seeds, channels, h, w)``.
    """

    size: tuple[int, int]
    steps: list[tuple[int, Tensor, Tensor]]


class Annotator:
    """Evidence of classes in given pictures.

    What comes out depends on the picture, its seed and the settings alone: pictures do not share batches.

    Args:
        pipeline: a Stable Diffusion 1.x, 2.x or XL pipeline on its device.
        timesteps: how much noise is added, 0 to 999.
        seeds: draws of noise per timestep.
        width: of the pictures that the model draws; given ones are fitted to this area, see :func:`fitted_size`.
        height: the same.
        prompt: what the model is told, with ``{classes}`` in it.
        plain_prompt: what it is told of a picture without any of the classes.
        affinity: read self-attention too.
        recipe: which attention is read, and how it is averaged.
    """

    def __init__(
        self,
        pipeline: Any,
        *,
        timesteps: Sequence[int],
        seeds: int,
        width: int,
        height: int,
        prompt: str = "a photo of {classes}",
        plain_prompt: str = "a photo",
        affinity: bool = True,
        recipe: Recipe = MEAN,
    ) -> None:
        self._pipeline = pipeline
        self._unet = pipeline.unet
        self._timesteps = tuple(timesteps)
        self._seeds = seeds
        self._native = (width, height)
        self._prompt = prompt
        self._plain_prompt = plain_prompt
        self._affinity_steps = range(len(self._timesteps)) if affinity else ()
        self._recipe = recipe
        # Samplers such as Euler's scale latents their own way; the UNet was trained on these.
        self._noise: Any = DDPMScheduler.from_config(pipeline.scheduler.config)  # type: ignore[no-untyped-call]
        self._texts = TextStates(pipeline, None)
        if pipeline.vae.config.get("force_upcast") and pipeline.vae.dtype == torch.float16:
            pipeline.vae.to(torch.float32)  # this autoencoder overflows in float16

    def forget(self) -> None:
        """Drop the prompts that are kept encoded; what is asked again is encoded again."""
        self._texts.forget()

    @torch.no_grad()
    def noisy(self, image: NDArray[np.uint8], seed: int, timesteps: Sequence[int] = ()) -> Noisy:
        """Encode a picture and add noise: every timestep with noise of its own.

        Args:
            image: uint8 RGB, shape ``(height, width, 3)``.
            seed: of the noise.
            timesteps: others than the annotator's.
        """
        timesteps = timesteps or self._timesteps
        size = fitted_size(image.shape[1], image.shape[0], *self._native)
        vae = self._pipeline.vae
        pixels = self._pipeline.image_processor.preprocess(
            Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
        )
        encoded = vae.encode(pixels.to(vae.device, vae.dtype))
        # A KL autoencoder gives a distribution, whose mean is the latents; a tiny one gives the latents.
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        latents = latents.float() * vae.config.scaling_factor
        shape = (len(timesteps), self._seeds, *latents.shape[1:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(latents.device)
        clean = latents.expand(self._seeds, -1, -1, -1)
        steps = []
        for timestep, draws in zip(timesteps, noise, strict=True):
            times = torch.full((self._seeds,), timestep, device=latents.device)
            noised = self._noise.add_noise(clean, draws, times)
            steps.append((timestep, noised, self._target(clean, draws, times)))
        return Noisy(size, steps)

    def evidence(self, noisy: Noisy, classes: Sequence[ClassSpec]) -> Evidence:
        """Where the model's attention sees classes that are in the picture, mean over timesteps and noise.

        The classes stand in one prompt and compete, as far as it holds them.

        Args:
            noisy: the picture.
            classes: at least one.
        """
        return self.evidences(noisy, classes, [self._recipe])[0]

    def evidences(self, noisy: Noisy, classes: Sequence[ClassSpec], recipes: Sequence[Recipe]) -> list[Evidence]:
        """As :meth:`evidence`, by several recipes, which see the same passes."""
        parts: list[list[Evidence]] = [[] for _ in recipes]
        timesteps = [timestep for timestep, _, _ in noisy.steps]
        for text, tokens, content in self._questions(classes):
            with ExitStack() as stack:
                captures = []
                for recipe in recipes:
                    late = late_passes(timesteps) if recipe.late else None
                    query = self._query(tokens, content if recipe.content else None)
                    capture = AttentionCapture(
                        self._unet,
                        query,
                        recipe=recipe,
                        cross_steps=late,
                        affinity_steps=self._affinity_steps,
                        pooled=True,
                    )
                    captures.append(stack.enter_context(capture))
                for timestep, latents, _ in noisy.steps:
                    self._predict(latents, timestep, text, noisy.size)
            for found, capture in zip(parts, captures, strict=True):
                found += capture.evidence()
        return [_joined(found) for found in parts]

    @torch.no_grad()
    def concepts(self, noisy: Noisy, text: TextState, words: Tensor) -> tuple[Tensor, NDArray[np.float32]]:
        """Which of several words each place attends to, while the model is told something else, and its error then.

        Args:
            noisy: the picture.
            text: what the model is told.
            words: ``(words, features)``: see :meth:`alone`.

        Returns:
            See :meth:`ConceptCapture.maps` and :meth:`error`.
        """
        height, width = noisy.steps[0][1].shape[-2:]
        with ConceptCapture(self._unet, words, (height, width)) as capture:
            error = self.error(noisy, text)
        return capture.maps(), error

    def error(self, noisy: Noisy, text: TextState) -> NDArray[np.float32]:
        """Squared error of the prediction, mean over timesteps, noise and channels: float32 ``(h, w)``."""
        errors = [
            (self._predict(latents, timestep, text, noisy.size).float() - target).square().mean((0, 1))
            for timestep, latents, target in noisy.steps
        ]
        return torch.stack(errors).mean(0).cpu().numpy()

    def alone(self, classes: Sequence[ClassSpec]) -> tuple[TextState, list[TextState], Tensor]:
        """What the model is told about a picture of each class alone.

        All is encoded in a batch of its own, so that what was asked before changes nothing.

        Returns:
            The plain prompt; the prompt of each class; the states of each class's words in its prompt, mean over
            tokens: ``(classes, features)``.

        Raises:
            UserError: the model does not read as far as a class in the prompt.
        """
        named = [self._text([spec]) for spec in classes]
        plain, *states = TextStates(self._pipeline, None).encode([self._plain_prompt, *(text for text, _ in named)])
        tokens = [self._tokens(*one)[0] for one in named]
        self._check_read(classes, tokens)
        words = [state.tokens[places].mean(0) for state, places in zip(states, tokens, strict=True)]
        return plain, states, torch.stack(words)

    def text(self, classes: Sequence[ClassSpec]) -> str:
        """What the model is told about a picture of these classes; prompts joined by ``"; "`` when it takes several."""
        return "; ".join(self._text(group)[0] for group in self._groups(classes))

    def _target(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        kind = self._noise.config.prediction_type
        if kind == "v_prediction":
            velocity: Tensor = self._noise.get_velocity(clean, noise, times)
            return velocity
        return noise if kind == "epsilon" else clean

    @torch.no_grad()
    def _predict(self, latents: Tensor, timestep: int, text: TextState, size: tuple[int, int]) -> Tensor:
        count, dtype = len(latents), self._unet.dtype
        added = None
        if text.pooled is not None:  # SDXL is told the size of the picture and where it was cut out
            width, height = size
            place = torch.tensor([height, width, 0, 0, height, width], device=latents.device, dtype=dtype)
            added = {"text_embeds": text.pooled.expand(count, -1), "time_ids": place.expand(count, -1)}
        states = text.tokens.expand(count, -1, -1)
        predicted: Tensor = self._unet(
            latents.to(dtype), timestep, encoder_hidden_states=states, added_cond_kwargs=added, return_dict=False
        )[0]
        return predicted

    def _questions(self, classes: Sequence[ClassSpec]) -> list[tuple[TextState, list[list[int]], list[list[int]]]]:
        """Prompts that name all classes between them, encoded, with the tokens of their classes and content words."""
        found = [self._text(group) for group in self._groups(classes)]
        states = self._texts.encode([text for text, _ in found])
        return [
            (state, self._tokens(text, spans), self._tokens(text, content_spans(text)))
            for state, (text, spans) in zip(states, found, strict=True)
        ]

    def _groups(self, classes: Sequence[ClassSpec]) -> list[list[ClassSpec]]:
        groups: list[list[ClassSpec]] = [[]]
        for spec in classes:
            longer = [*groups[-1], spec]
            if len(longer) > CLASSES_PER_PROMPT or not all(self._tokens(*self._text(longer))):
                groups.append([spec])
            else:
                groups[-1] = longer
        groups = [group for group in groups if group]
        for group in groups:
            self._check_read(group, self._tokens(*self._text(group)))
        return groups

    def _check_read(self, classes: Sequence[ClassSpec], tokens: Sequence[list[int]]) -> None:
        lost = [spec.name for spec, places in zip(classes, tokens, strict=True) if not places]
        if lost:
            raise UserError(f"annotate.prompt is too long: the model does not read as far as {lost[0]!r} in it")

    def _text(self, classes: Sequence[ClassSpec]) -> tuple[str, list[Spans]]:
        """The prompt that names the classes, and where each is named."""
        before, _, after = self._prompt.partition("{classes}")
        text, spans = before, []
        for position, spec in enumerate(classes):
            text += "" if position == 0 else " and " if position == len(classes) - 1 else ", "
            words = class_words(spec)
            text += with_article(words.noun) if words.countable else words.noun
            spans.append([(len(text) - len(words.noun), len(text))])
        return text + after, spans

    def _tokens(self, text: str, spans: list[Spans]) -> list[list[int]]:
        return class_tokens(self._pipeline.tokenizer, text, spans)

    def _query(self, tokens: list[list[int]], content: list[list[int]] | None) -> ClassQuery:
        weights = token_weights([tokens], (self._pipeline.tokenizer.model_max_length, len(tokens)))
        if content is not None:
            weights = with_content(weights, [content])
        weights = weights.to(self._unet.device).expand(self._seeds, -1, -1)
        return ClassQuery((len(tokens),) * self._seeds, weights, content=content is not None)


def _joined(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of one picture's classes, asked for in several prompts. Edges are those of the first."""
    first = parts[0]
    return Evidence(
        cross={grid: np.concatenate([part.cross[grid] for part in parts]) for grid in first.cross},
        affinity={grid: np.concatenate([part.affinity[grid] for part in parts]) for grid in first.affinity},
        edges=first.edges,
    )


def fitted_size(width: int, height: int, native_width: int, native_height: int) -> tuple[int, int]:
    """The size at which a model sees a picture: the model's own area, the picture's aspect, multiples of 8.

    Args:
        width: of the picture, in pixels.
        height: the same.
        native_width: of what the model draws.
        native_height: the same.

    Returns:
        Width and height.

    Example:
        >>> fitted_size(4000, 3000, 512, 512)
        (592, 440)
    """
    aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
    area = native_width * native_height
    return 8 * max(1, round((area * aspect) ** 0.5 / 8)), 8 * max(1, round((area / aspect) ** 0.5 / 8))
