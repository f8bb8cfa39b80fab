"""Flaws in images, in the folders of MVTec AD (Bergmann et al. 2019), as anomalib reads them."""

import io
from typing import ClassVar

import numpy as np
from PIL import Image

from dsfactory.core.classes import label_slug
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.writer import DatasetWriter

GOOD, SEVERAL = "good", "combined"


class MvtecWriter(DatasetWriter):
    """Writes ``train/good``, ``test/good``, ``test/KIND`` and ``ground_truth/KIND``.

    Networks of this kind learn from good images alone: those of the train split are in ``train``, all with flaws in
    ``test``. A mask ``NAME_mask.png`` is 255 where the flaw is, and 0 where pixels are ignored, which readers do not
    know. Images with flaws of several classes are in ``combined``.
    """

    folders: ClassVar[tuple[str, ...]] = (f"train/{GOOD}", f"test/{GOOD}", "ground_truth")

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        ids = [number for number in np.unique(labels.mask).tolist() if number not in (BACKGROUND, VOID)]
        if not ids:
            self.write_image(f"{'train' if split == 'train' else 'test'}/{GOOD}", sample)
            return
        kind = label_slug(self.plan.classes[ids[0] - 1]) if len(ids) == 1 else SEVERAL
        self.write_image(f"test/{kind}", sample)
        buffer = io.BytesIO()
        flaw = np.isin(labels.mask, ids).astype(np.uint8) * 255
        Image.fromarray(flaw).save(buffer, format="PNG", compress_level=6)
        self.write(f"ground_truth/{kind}/{sample.name}_mask.png", buffer.getvalue())
