"""Drawing images in batches, each with its own seed, and with evidence of where its classes are."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsfactory.core.classes import ClassSpec
from dsfactory.core.seeds import derive_seed
from dsfactory.errors import UserError
from dsfactory.stages.generate.attention import AttentionCapture, spaced_steps
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.joint import PATCH, JointAttentionCapture
from dsfactory.stages.generate.joint_text import joint_query
from dsfactory.stages.generate.layouts.colours import Colours, painted
from dsfactory.stages.generate.layouts.config import LayoutConfig
from dsfactory.stages.generate.layouts.control import LayoutControl
from dsfactory.stages.generate.layouts.layout import Placed
from dsfactory.stages.generate.positions import as_read, sequence_tokens
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import MEAN, Recipe
from dsfactory.stages.generate.recipes.content import content_spans, with_content
from dsfactory.stages.generate.recipes.late import late_steps
from dsfactory.stages.generate.text import (
    TextState,
    TextStates,
    denoiser,
    family_of,
    pipeline_inputs,
    takes_guidance,
)
from dsfactory.stages.generate.tokens import FindMentions, class_prompt, token_weights

ATTEMPTS = 2
"""How often an image is drawn before it counts as failed."""

AFFINITY_STRIDE = 6
"""Self-attention is read in one step of so many: it changes slowly, and reading it costs many times what
cross-attention does."""

FLAT = 2
"""An image whose channels each span at most so many of 256 levels shows nothing."""


@dataclass(frozen=True)
class Target:
    """Where the classes of a request are to be.

    Attributes:
        layout: in the size of the image.
        class_ids: the id that each of the request's classes has there.
    """

    layout: Placed
    class_ids: tuple[int, ...]


@dataclass(frozen=True)
class Follower:
    """A ControlNet that makes a pipeline follow layouts.

    Attributes:
        pipeline: of the same networks, with it.
        colours: by which it knows classes, by class id.
        scale: its strength.
    """

    pipeline: Any
    colours: Colours
    scale: float = 1.0

    def inputs(self, targets: Sequence[Target]) -> dict[str, Any]:
        """What the pipeline's call takes beside the text."""
        pictures = np.stack([painted(target.layout, self.colours) for target in targets])
        image = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        return {"image": image, "controlnet_conditioning_scale": self.scale}


@dataclass(frozen=True)
class Request:
    """An image to draw: its prompt, its seed, the classes to find in it, where they are to be, and words beside the
    negative prompt."""

    prompt: str
    seed: int
    classes: tuple[ClassSpec, ...]
    target: Target | None = None
    negative: str = ""


@dataclass(frozen=True)
class Drawing:
    """What became of a request.

    Attributes:
        image: uint8 ``(height, width, 3)``, RGB; None when drawing failed.
        evidence: the classes' attention maps; None when drawing failed.
        seed: the seed of the last attempt.
        attempts: how often the image was drawn.
        queried: per class, ``"caption"``; when the caption does not name it, ``"class-prompt"``, or ``"added"`` where
            attention is joint: such models draw with the class's name in front of the caption. ``"concept"`` for all by
            a recipe of concepts.
        reason: why drawing failed; empty otherwise.
    """

    image: NDArray[np.uint8] | None
    evidence: Evidence | None
    seed: int
    attempts: int
    queried: tuple[str, ...]
    reason: str = ""


class Sampler:
    """Draw requests with a diffusers pipeline.

    An image depends on its prompt, its seed and the settings: every image has a generator of its own on the
    CPU, so neither the batch, its place in it, nor the device decides the noise. Beyond that, only the
    rounding of matrix products of another shape differs.

    Args:
        pipeline: of a family of :data:`dsfactory.models.families.FAMILIES`, on its device or with offloading.
        width: of the images, in pixels; a multiple of the family's own number.
        height: the same.
        steps: denoising steps.
        guidance: classifier-free guidance scale; 1 or less draws without guidance and its second half-batch.
        find_mentions: where a prompt names each class.
        negative_prompt: what guidance steers away from; None for the family's default.
        batch_size: images drawn together; halved for good when memory runs out.
        affinity: read self-attention too, on the grids where it can be: see
            :data:`~dsfactory.stages.generate.recipes.propagation.MAX_AFFINITY_POSITIONS`.
        recipe: which attention is read, and how it is averaged.
        timed: add up the capture's own time in :attr:`capture_seconds`; slows drawing on a GPU.
        clip_skip: how many of CLIP's last layers are left out; None for the family's own choice.
        tiling: decode large images in tiles.
        control: how requests with a target follow it: ``"dense"``, ``"hard"``, or by a ControlNet.
        strengths: of that.

    Raises:
        UserError: a size that the pipeline cannot draw, or a recipe that needs weights which are offloaded.
    """

    def __init__(
        self,
        pipeline: Any,
        *,
        width: int,
        height: int,
        steps: int,
        guidance: float,
        find_mentions: FindMentions,
        negative_prompt: str | None = None,
        batch_size: int = 8,
        affinity: bool = True,
        timed: bool = False,
        clip_skip: int | None = None,
        tiling: bool = False,
        control: "str | Follower | None" = None,
        strengths: LayoutConfig | None = None,
        recipe: Recipe = MEAN,
    ) -> None:
        self.batch_size = batch_size
        self.capture_seconds = 0.0
        self._pipeline = pipeline
        self._timed = timed
        self._control, self._strengths = control, strengths or LayoutConfig()
        self._width = width
        self._height = height
        self._steps = steps
        self._guidance = guidance
        self._find_mentions = find_mentions
        self._family = family_of(pipeline)
        readable = affinity and not self._family.unreadable
        self._affinity_steps = spaced_steps(steps, max(1, round(steps / AFFINITY_STRIDE))) if readable else ()
        if recipe.heads and any(weight.is_meta for weight in denoiser(pipeline).parameters()):
            raise UserError("generate.recipe: 'heads' needs the weights in one place: use --offload model or none")
        self._recipe = recipe
        self._cross_steps = late_steps(steps) if recipe.late else None
        if recipe.late:
            self._affinity_steps = tuple(step for step in self._affinity_steps if step in late_steps(steps))
        self._offloaded = any(hasattr(part, "_hf_hook") for part in (pipeline.vae, denoiser(pipeline)))
        # Encoded prompts wait in the machine's memory: a shard's are many, and the GPU is small.
        self._texts = TextStates(pipeline, negative_prompt, clip_skip, torch.device("cpu") if self._offloaded else None)
        self._vae_dtype: torch.dtype = pipeline.vae.dtype
        if width % self._family.multiple or height % self._family.multiple:
            raise UserError(f"{width}x{height} cannot be drawn by this model: use multiples of {self._family.multiple}")
        pipeline.set_progress_bar_config(disable=True)
        # Decoding image by image bounds memory, and no image's rounding depends on its neighbours there.
        pipeline.vae.enable_slicing()
        if tiling:
            pipeline.vae.enable_tiling()

    def draw(self, requests: Sequence[Request]) -> Iterator[Drawing]:
        """Draw requests in order, a batch at a time.

        Raises:
            UserError: a single image does not fit into memory.
        """
        self._texts.forget()
        if self._offloaded:
            # All at once: text encoders come to the GPU once, and make room for the network that draws.
            for start in range(0, len(requests), self.batch_size):
                self._ask(requests[start : start + self.batch_size])
        done = 0
        while done < len(requests):
            batch = requests[done : done + self.batch_size]
            drawings = self._draw_fitting(batch, attempt=1)
            done += len(batch)
            again = [place for place, drawing in enumerate(drawings) if drawing.reason]
            if again:
                retried = [replace(batch[place], seed=derive_seed(batch[place].seed, "retry", 1)) for place in again]
                for place, drawing in zip(again, self._draw_fitting(retried, attempt=ATTEMPTS), strict=True):
                    drawings[place] = drawing
            yield from drawings

    def _draw_fitting(self, batch: Sequence[Request], attempt: int) -> list[Drawing]:
        """Draw a batch, in smaller ones when memory runs out."""
        drawings: list[Drawing] = []
        while len(drawings) < len(batch):
            part = batch[len(drawings) : len(drawings) + self.batch_size]
            try:
                drawings += self._draw_batch(part, attempt)
                continue
            except torch.OutOfMemoryError as error:
                if len(part) == 1:
                    raise UserError(
                        f"out of memory drawing a single image of {self._width}x{self._height}: "
                        "use smaller --width and --height, a smaller --model, or --set generate.offload=sequential"
                    ) from error
            # Outside the handler: the exception's traceback would keep the failed batch's tensors alive.
            self.batch_size = len(part) // 2
            gc.collect()
            # diffusers decodes SDXL's float16 in float32, and leaves the VAE so when that fails.
            if self._pipeline.vae.dtype != self._vae_dtype:
                self._pipeline.vae.to(self._vae_dtype)
            if (device := self._pipeline._execution_device).type != "cpu":
                torch.get_device_module(device.type).empty_cache()
        return drawings

    def _draw_batch(self, batch: Sequence[Request], attempt: int) -> list[Drawing]:
        guided = self._guidance > 1 and not takes_guidance(self._pipeline)
        negative = [self._texts.negative(request.negative) for request in batch] if guided else None
        states, query, queried = self._ask(batch)
        settings: dict[str, Any] = {"recipe": self._recipe, "cross_steps": self._cross_steps}
        settings |= {"affinity_steps": self._affinity_steps, "timed": self._timed}
        settings["guided"] = self._family.guided if guided else "last"
        network = denoiser(self._pipeline)
        capture: AttentionCapture
        if self._family.joint:
            grid = (self._height // PATCH, self._width // PATCH)
            capture = JointAttentionCapture(network, query, grid=grid, **settings)
        else:
            capture = AttentionCapture(network, query, **settings)
        targets = [request.target for request in batch if request.target is not None]
        draw, more = self._pipeline, {}
        if isinstance(self._control, Follower) and targets:
            draw, more = self._control.pipeline, self._control.inputs(targets)
        with capture, self._controlled(network, targets, query):
            pixels = draw(
                **pipeline_inputs(self._pipeline, states, negative, self._steps, self._guidance),
                **more,
                width=self._width,
                height=self._height,
                generator=[torch.Generator("cpu").manual_seed(request.seed) for request in batch],
                output_type="pt",
            ).images
        images, reasons = image_levels(pixels)
        found = capture.evidence()
        self.capture_seconds += capture.seconds
        return [
            Drawing(None, None, request.seed, attempt, sources, reason)
            if reason
            else Drawing(image, evidence, request.seed, attempt, sources)
            for request, image, evidence, sources, reason in zip(batch, images, found, queried, reasons, strict=True)
        ]

    def _controlled(self, network: Any, targets: Sequence[Target], query: ClassQuery) -> AbstractContextManager[Any]:
        """What makes attention follow a batch's targets while it is drawn."""
        if not isinstance(self._control, str) or not targets:
            return nullcontext()
        return LayoutControl(
            network,
            [target.layout for target in targets],
            [target.class_ids for target in targets],
            query.weights > 0,
            self._strengths,
            hard=self._control == "hard",
            steps=self._steps,
            train_steps=self._pipeline.scheduler.config.num_train_timesteps,
        )

    def _ask(self, batch: Sequence[Request]) -> tuple[list[TextState], ClassQuery, list[tuple[str, ...]]]:
        """The text to draw with, the tokens to follow, and per image and class where they come from."""
        if self._family.joint:
            captions = [(request.prompt, request.classes) for request in batch]
            return joint_query(self._pipeline, self._texts, captions, self._find_mentions, self._recipe)
        states = self._texts.encode([request.prompt for request in batch])
        texts = [as_read(self._pipeline, request.prompt) for request in batch]
        found = [
            sequence_tokens(self._pipeline, text, self._find_mentions(text, request.classes))
            for text, request in zip(texts, batch, strict=True)
        ]
        prompted = [place for place, tokens in enumerate(found) if not all(tokens)]
        prompts, prompt_tokens = [], []
        for place in prompted:
            names = [item.word for item in batch[place].classes]
            text, spans = class_prompt(names, wanted=[not tokens for tokens in found[place]])
            prompts.append(text)
            prompt_tokens.append(sequence_tokens(self._pipeline, as_read(self._pipeline, text), spans))
        more = self._texts.encode(prompts)
        device = self._pipeline._execution_device
        shape = (len(states[0].tokens), max(len(request.classes) for request in batch))
        weights, state_weights = token_weights(found, shape), token_weights(prompt_tokens, shape)
        if self._recipe.content:
            content = [sequence_tokens(self._pipeline, text, content_spans(text)) for text in texts]
            # What a class prompt says of a class is divided by what the caption's words have there.
            weights, state_weights = with_content(weights, content), with_content(state_weights, [()] * len(prompts))
        query = ClassQuery(
            classes=tuple(len(request.classes) for request in batch),
            weights=weights.to(device),
            prompted=torch.tensor(prompted, device=device) if prompts else None,
            states=torch.stack([state.tokens for state in more]) if prompts else None,
            state_weights=state_weights.to(device) if prompts else None,
            content=self._recipe.content,
            mask=_masks(states),
            state_mask=_masks(more),
        )
        return states, query, [tuple("caption" if tokens else "class-prompt" for tokens in image) for image in found]


def _masks(states: Sequence[TextState]) -> Tensor | None:
    masks = [state.mask for state in states if state.mask is not None]
    return torch.stack(masks) if masks else None


def image_levels(pixels: Tensor) -> tuple[NDArray[np.uint8], list[str]]:
    """Images as uint8, and per image why it is none.

    Args:
        pixels: ``(images, 3, height, width)`` in [0, 1], as pipelines give with ``output_type="pt"``.

    Returns:
        uint8 ``(images, height, width, 3)``, and per image an empty string or a reason.
    """
    finite = pixels.isfinite().flatten(1).all(1)
    levels = pixels.float().nan_to_num().mul(255).round().to(torch.uint8)
    spans = levels.flatten(2).amax(2).int() - levels.flatten(2).amin(2).int()
    flat = (spans <= FLAT).all(1)
    reasons = [
        "the image has values that are not numbers" if not real else "the image is one flat colour" if dull else ""
        for real, dull in zip(finite.tolist(), flat.tolist(), strict=True)
    ]
    return levels.permute(0, 2, 3, 1).cpu().numpy(), reasons
