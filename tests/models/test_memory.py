"""What fits into a GPU: arithmetic on the shapes of real networks."""

from pathlib import Path

import pytest
import torch

from benchmarks.shapes import billions, table
from dsfactory.models.devices import choose_device, choose_dtype
from dsfactory.models.inspect import check_model
from dsfactory.models.memory import OFFLOADS, choose_offload, gpu_gb, network_billions
from dsfactory.models.presets import PRESETS
from dsfactory.stages.generate.model import memory_line


@pytest.mark.parametrize("name", ["sd15", "sd35-large", "flux-dev", "flux2-klein", "z-image-turbo", "pixart-sigma"])
def test_presets_state_what_their_shapes_say(name):
    assert tuple(billions(name).values()) == PRESETS[name].billions


def test_the_page_has_the_table():
    page = Path("docs/models.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in page


def test_what_fits_is_chosen():
    flux, sdxl = PRESETS["flux-dev"].billions, PRESETS["sdxl"].billions
    assert [gpu_gb(flux, 1024, 1024, way) for way in OFFLOADS] == [39, 26, 6]
    assert [choose_offload(flux, 1024, 1024, there) for there in (48, 32, 24)] == ["none", "model", "sequential"]
    assert [gpu_gb(sdxl, 1024, 1024, way) for way in OFFLOADS] == [12, 7, 6]
    assert [choose_offload(sdxl, 1024, 1024, there) for there in (16, 11, 8, 2)] == [
        "none", "model", "model", "sequential",
    ]  # fmt: skip
    assert choose_offload(sdxl, 1024, 1024, 16, weight_bytes=4) == "model"


def test_the_user_is_told_in_a_line():
    flux = PRESETS["flux-dev"].billions
    assert memory_line("flux-dev", flux, 1024, 1024, 80) == []
    assert memory_line("flux-dev", flux, 1024, 1024, 24) == [
        "flux-dev needs about 39 GB on a GPU, 24 GB are free here: generate.offload=sequential needs about 6 GB and is "
        "slower"
    ]
    (line,) = memory_line("flux-dev", flux, 1024, 1024, 4)
    assert "even generate.offload=sequential needs about 6 GB: use a smaller --model, --width and --height" in line


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (80, "generate.offload=none fits"),
        (32, "generate.offload=model fits"),
        (24, "generate.offload=sequential fits"),
        (4, "too few"),
    ],
)
def test_the_check_says_what_fits_here(there, says):
    assert check_model("flux-dev").fits(there) == f"{there} GB are free: {says}"


def test_a_folders_networks_are_counted(model_folder):
    folder = model_folder("sd")
    files = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*.safetensors"))]
    found = network_billions(folder, files)
    assert len(found) == 3 and 0 < sum(found) < 0.01


@pytest.mark.parametrize(
    ("found", "device", "dtype"),
    [(None, "cpu", torch.float32), ("mps", "mps", torch.bfloat16), ("xpu", "xpu", torch.bfloat16),
     ("meta", "cpu", torch.float32)],
)  # fmt: skip
def test_the_accelerator_that_is_there_is_taken(monkeypatch, found, device, dtype):
    there = None if found is None else torch.device(found)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: there)
    assert choose_device("auto") == torch.device(device)
    assert choose_dtype("auto", choose_device("auto")) == dtype
    assert choose_dtype("fp16", choose_device("auto")) == torch.float16


@pytest.mark.parametrize(("capability", "dtype"), [((8, 0), torch.bfloat16), ((7, 5), torch.float16)])
def test_older_cuda_has_no_bfloat16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", torch.device("cuda")) == dtype
