"""The two kernels of the dense CRF."""

from typing import NamedTuple


class Kernels(NamedTuple):
    """Widths and weights of the two kernels; widths in pixels of the image at hand and in grey levels."""

    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 80.0
    bilateral_srgb: float = 13.0
    bilateral_compat: float = 10.0

    def scaled(self, factor: float) -> "Kernels":
        """The same kernels for an image whose sides are ``factor`` times as long."""
        return self._replace(gaussian_sxy=self.gaussian_sxy * factor, bilateral_sxy=self.bilateral_sxy * factor)


def gaussian_size(sigma: float) -> int:
    """Odd width of a sampled Gaussian that reaches four standard deviations to either side."""
    return round(8 * sigma + 1) | 1
