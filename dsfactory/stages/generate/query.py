"""What is asked of a network's attention."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ClassQuery:
    """What to ask of the attention, for a batch of images.

    Attributes:
        classes: how many classes each image asks for; the tensors are padded to the most.
        weights: float32 ``(images, tokens, classes)``: each class's weights over the caption's tokens, summing
            to 1, or to 0 where the caption does not name the class.
        prompted: int64, the images with classes that their caption does not name; None when there are none.
        states: text encoder states of those images' class prompts, ``(prompted, tokens, features)``. Or those of
            concepts, see :mod:`.recipes.concepts`: ``(images, concepts, features)``, the classes in front.
        state_weights: as ``weights``, over the class prompts' tokens: ``(prompted, tokens, classes)``.
        mask: bool ``(images, tokens)``, the tokens that attention sees; None for all.
        state_mask: bool ``(prompted, tokens)``, the same of the class prompts; or the concepts of each image.
        content: the last column of the weights is no class but the sum over the caption's content words.
    """

    classes: tuple[int, ...]
    weights: Tensor
    prompted: Tensor | None = None
    states: Tensor | None = None
    state_weights: Tensor | None = None
    mask: Tensor | None = None
    state_mask: Tensor | None = None
    content: bool = False
