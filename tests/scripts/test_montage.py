import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, HEIGHT, WIDTH, labels, samples

SCRIPT = Path(__file__).parents[2] / "scripts" / "montage.py"


def montage(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    out = tmp_path_factory.mktemp("montage") / "voc"
    export("voc", samples(3), CLASSES, out, fingerprint="f", model="pocket")
    return out


def test_sheet_shows_images_beside_their_labels(voc, tmp_path):
    result = montage(voc, "--out", tmp_path / "m.png", "--columns", 2, "--size", WIDTH)
    assert result.returncode == 0, result.stderr
    sheet = np.array(Image.open(tmp_path / "m.png")).astype(int)
    gap, seam = 4, 2
    assert sheet.shape == (2 * (WIDTH + gap) + gap, 2 * (2 * WIDTH + seam + gap) + gap, 3)
    top, left = gap + (WIDTH - HEIGHT) // 2, gap
    image = sheet[top : top + HEIGHT, left : left + WIDTH]
    labelled = sheet[top : top + HEIGHT, left + WIDTH + seam : left + 2 * WIDTH + seam]
    drawn = np.array(Image.open(voc / "JPEGImages" / "00000000.jpg"))
    assert np.array_equal(image, drawn)
    mask, instances = labels(0)
    changed = (image != labelled).any(axis=2)
    assert changed[instances == 1].mean() > 0.95
    below_tags = np.zeros_like(changed)
    below_tags[38:44, :40] = True
    assert not changed[below_tags & (mask == 0)].any()


def test_what_is_no_voc_dataset_is_one_clear_line(tmp_path):
    result = montage(tmp_path, "--out", tmp_path / "m.png")
    assert result.returncode == 2
    assert "is not a VOC dataset" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "m.png").exists()


def test_a_prefix_chooses_images(voc, tmp_path):
    result = montage(voc, "--out", tmp_path / "m.png", "--prefix", "00000001")
    assert result.returncode == 0 and "1 image of" in result.stdout
    result = montage(voc, "--out", tmp_path / "n.png", "--prefix", "splice")
    assert result.returncode == 2 and "lists no image whose name begins with splice" in result.stderr
