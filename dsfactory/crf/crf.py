"""Fully connected CRF: masks that follow the image's edges.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011:
mean-field inference with a smoothness kernel (position) and an appearance kernel (position and colour), Potts
compatibility and symmetric kernel normalisation.
"""

import time
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsfactory.crf import crf_cpu
from dsfactory.crf.crf_coarse import coarse_mean_field
from dsfactory.crf.crf_cpu import MIN_PROBABILITY, energies
from dsfactory.crf.kernels import Kernels, gaussian_size
from dsfactory.crf.lattice import PermutohedralLattice
from dsfactory.crf.thumbnail import Thumbnail

Float = NDArray[np.float32]
Backend = Literal["lattice", "pydensecrf", "torch"]

SMALL_ENOUGH = 0.5
"""Thumbnails of this size or smaller, as a share of the picture's, stand for the picture."""


def dense_crf(
    image: NDArray[np.uint8],
    probabilities: Float,
    kernels: Kernels,
    iterations: int = 10,
    backend: Backend = "lattice",
    thumbnail: Thumbnail | None = None,
    device: str = "cpu",
) -> Float:
    """Refine per-pixel label probabilities.

    Args:
        image: uint8 RGB array of shape ``(height, width, 3)``.
        probabilities: float32 array of shape ``(labels, height, width)`` that sums to 1 over labels. The unary
            energy is ``-log p``. Hard labels make poor unaries: with two labels, certainty 0.5 says nothing at all,
            and 0.95 weighs as much as 0.5 does among 21 labels.
        kernels: kernel widths in pixels of this image, and weights.
        iterations: mean-field updates.
        backend: ``"lattice"`` (:mod:`dsfactory.crf.crf_cpu`, always there and the faster one) or ``"pydensecrf"``
            (C++, where it is installed). They agree but for rounding, the small kernel, which is exact here and a
            lattice there, pixels that are left alone here once they are certain, and large pictures, of which not
            every pixel is asked here (:mod:`dsfactory.crf.crf_coarse`). ``"torch"`` asks every pixel, and is for GPUs.
        thumbnail: of this image with these kernels, if there is one already; it is as good for any probabilities.
        device: where ``"torch"`` computes.

    Returns:
        float32 posterior of the same shape.

    Raises:
        ValueError: the shapes do not fit.
        ImportError: pydensecrf was asked for and is not installed.
    """
    if image.dtype != np.uint8 or image.shape != (*probabilities.shape[1:], 3):
        raise ValueError(f"image {image.dtype} {image.shape} does not fit probabilities {probabilities.shape}")
    if backend == "pydensecrf":
        return _pydensecrf(image, energies(probabilities), kernels, iterations)
    if backend == "torch":
        images, starts = torch.from_numpy(image)[None].to(device), torch.from_numpy(probabilities)[None].to(device)
        found = dense_crf_batch(images, starts, kernels, iterations)[0]
        return np.asarray(found.cpu().numpy())
    thumbnail = thumbnail or Thumbnail(image, kernels)
    if iterations and thumbnail.factor <= SMALL_ENOUGH:
        return coarse_mean_field(image, probabilities, kernels, iterations, thumbnail)
    filters = thumbnail.filters if thumbnail.factor == 1.0 else crf_cpu.CpuFilters(image, kernels)
    unary = energies(probabilities).reshape(len(probabilities), -1)
    return crf_cpu.mean_field(unary, filters, iterations).reshape(probabilities.shape)


def backend_seconds(side: int = 256) -> dict[Backend, float]:
    """Seconds of CPU that each backend takes for a picture of noise with two labels; pydensecrf has to be installed."""
    rng = np.random.default_rng(0)
    image = rng.integers(120, 137, (side, side, 3)).astype(np.uint8)
    image[side // 4 : side // 2, side // 4 : side // 2] //= 2
    foreground = rng.uniform(0.1, 0.9, (side, side)).astype(np.float32)
    probabilities = np.stack([1.0 - foreground, foreground])
    seconds: dict[Backend, float] = {}
    backends: tuple[Backend, ...] = ("lattice", "pydensecrf")
    for backend in backends:
        start = time.process_time()
        dense_crf(image, probabilities, Kernels().scaled(side / 512), backend=backend)
        seconds[backend] = time.process_time() - start
    return seconds


def dense_crf_batch(images: Tensor, probabilities: Tensor, kernels: Kernels, iterations: int = 10) -> Tensor:
    """Refine the label probabilities of several images at once, on the device where they are: for GPUs.

    Args:
        images: uint8 RGB tensor of shape ``(batch, height, width, 3)``.
        probabilities: float32 tensor of shape ``(batch, labels, height, width)`` that sums to 1 over labels.
        kernels: kernel widths in pixels of these images, and weights.
        iterations: mean-field updates.

    Returns:
        float32 posterior of the same shape. Each image's is what it is alone, up to rounding.
    """
    unary = -torch.log(probabilities.clamp(MIN_PROBABILITY, 1.0)).permute(0, 2, 3, 1)
    return mean_field(unary, ImageFilters(images, kernels), iterations).permute(0, 3, 1, 2).contiguous()


class ImageFilters:
    """The two pairwise terms of a batch of images, ready to be applied in every iteration and to any unary.

    Args:
        images: uint8 RGB tensor of shape ``(batch, height, width, 3)``.
        kernels: kernel widths in pixels of these images, and weights.
    """

    def __init__(self, images: Tensor, kernels: Kernels) -> None:
        batch, height, width, _ = images.shape
        y = torch.arange(height, dtype=torch.float32, device=images.device) / kernels.bilateral_sxy
        x = torch.arange(width, dtype=torch.float32, device=images.device) / kernels.bilateral_sxy
        features = torch.empty(5, batch, height, width, device=images.device)
        features[0] = x
        features[1] = y[:, None]
        features[2:] = images.permute(3, 0, 1, 2).float() / kernels.bilateral_srgb
        groups = None
        if batch > 1:
            groups = torch.arange(batch, device=images.device).repeat_interleave(height * width)
        self._lattice = PermutohedralLattice(features.view(5, -1), groups)
        self._sigma = kernels.gaussian_sxy
        ones = torch.ones(batch, height, width, 1, device=images.device)
        # The weight of a kernel is shared out to its two sides: sqrt(w) norm K sqrt(w) norm.
        self._gaussian_norm = kernels.gaussian_compat**0.5 * (self._smooth(ones) + 1e-20).rsqrt_()
        self._bilateral_norm = kernels.bilateral_compat**0.5 * (self._appearance(ones) + 1e-20).rsqrt_()

    def __call__(self, values: Tensor) -> Tensor:
        """The sum of both symmetrically normalised, weighted kernels.

        Args:
            values: float32 tensor of shape ``(batch, height, width, channels)``.
        """
        smooth = self._smooth(values * self._gaussian_norm).mul_(self._gaussian_norm)
        return smooth.addcmul_(self._appearance(values * self._bilateral_norm), self._bilateral_norm)

    def _appearance(self, values: Tensor) -> Tensor:
        return self._lattice.filter(values.view(-1, values.shape[-1])).view(values.shape)

    def _smooth(self, values: Tensor) -> Tensor:
        size = gaussian_size(self._sigma)
        if values.device.type == "cpu":  # OpenCV's is several times as fast as a convolution of PyTorch
            blurred = [crf_cpu.gaussian_blur(one.numpy(), size, self._sigma) for one in values]
            return torch.from_numpy(np.stack(blurred))
        kernel = torch.from_numpy(cv2.getGaussianKernel(size, self._sigma, cv2.CV_32F)).to(values.device)
        planes = values.permute(0, 3, 1, 2)
        flat = planes.reshape(-1, 1, *planes.shape[2:])
        flat = torch.nn.functional.conv2d(flat, kernel.view(1, 1, -1, 1), padding=(size // 2, 0))
        flat = torch.nn.functional.conv2d(flat, kernel.view(1, 1, 1, -1), padding=(0, size // 2))
        return flat.view(planes.shape).permute(0, 2, 3, 1).contiguous()


def mean_field(unary: Tensor, filters: ImageFilters, iterations: int) -> Tensor:
    """Mean-field inference (Krähenbühl and Koltun 2011, algorithm 1) with Potts compatibility.

    Args:
        unary: float32 energies of shape ``(batch, height, width, labels)``.
        filters: the images' pairwise terms.
        iterations: number of updates.

    Returns:
        float32 posterior of the same shape.
    """
    if unary.shape[-1] == 2:
        foreground = torch.sigmoid(binary_mean_field(unary[..., :1] - unary[..., 1:], filters, iterations))
        return torch.cat([1.0 - foreground, foreground], dim=-1)
    # Labels come first here and last in the filters: each is several times as fast that way round.
    energy = -unary.movedim(-1, 0).contiguous()
    posterior = torch.softmax(energy, dim=0)
    # Posteriors sum to 1 and filters are linear, so the first label's message follows from the others'.
    total = filters(torch.ones_like(unary[..., :1])).squeeze(-1)
    for _ in range(iterations):
        message = filters(posterior[1:].movedim(0, -1).contiguous()).movedim(-1, 0)
        first = total - message.sum(dim=0)
        posterior = torch.softmax(torch.cat([first[None], message]).add_(energy), dim=0)
    return posterior.movedim(0, -1)


def binary_mean_field(logits: Tensor, filters: ImageFilters, iterations: int) -> Tensor:
    """Mean-field inference of several two-label problems on one image at once.

    Args:
        logits: float32 log odds of the foreground, shape ``(batch, height, width, problems)``.
        filters: the images' pairwise terms, shared by all problems.
        iterations: number of updates.

    Returns:
        float32 log odds of the foreground, same shape.
    """
    total = filters(torch.ones_like(logits[..., :1]))
    energy = logits
    for _ in range(iterations):
        energy = filters(torch.sigmoid(energy)).mul_(2.0).add_(logits).sub_(total)
    return energy


def _pydensecrf(image: NDArray[np.uint8], unary: Float, kernels: Kernels, iterations: int) -> Float:
    from pydensecrf import densecrf  # optional, and its import needs numpy's C API to match

    height, width = image.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(len(unary), -1), dtype=np.float32))
    crf.addPairwiseGaussian(sxy=kernels.gaussian_sxy, compat=kernels.gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=kernels.bilateral_sxy,
        srgb=kernels.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=kernels.bilateral_compat,
    )
    return np.array(crf.inference(iterations), dtype=np.float32).reshape(unary.shape)
