"""What a diffusers pipeline folder holds: its class, its parts, which weights are there and which are missing.

Only file names and small JSON files are read; nothing heavy is imported.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.families import PIPELINES
from dsfactory.models.weights import read_header

_WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
    "text_encoder_3": "model",
}
"""Parts with weights, and how diffusers and transformers name the files."""

_VARIANTS = (("fp16", True), (None, True), ("fp16", False), ("bf16", False))
"""Kinds of weight files in order of preference, and whether all parts have to be of the kind.

float16 files are half the download and draw the same. Where no kind is complete, parts without files of a kind are read
from the plain ones, as diffusers does.
"""

_SENTENCEPIECE = "spiece.model"
"""T5's tokenizer in repositories that have no ``tokenizer.json``."""

_OF_TOKENIZERS = (".json", ".txt", ".jinja")
_LIBRARIES = ("diffusers", "transformers")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_SAMPLE = 4096
_WHOLE = 64 * 2**20


@dataclass(frozen=True)
class PipelineFolder:
    """A pipeline's layout as ``model_index.json`` and the list of its files tell it.

    Attributes:
        pipeline: diffusers class name.
        family: a name of :data:`dsfactory.models.families.FAMILIES`.
        variant: the weight files to read where a part has them: ``"fp16"``, ``"bf16"``, or None for the plain ones.
        files: what has to be there to load it, relative to the folder.
        missing: those that are not.
        pickled: weight files that exist only in a format which can run code.
    """

    pipeline: str
    family: str
    variant: str | None
    files: tuple[str, ...]
    missing: tuple[str, ...]
    pickled: tuple[str, ...]

    def variant_of(self, part: str) -> str | None:
        """The kind of weight files that a part is read from: it may have plain ones only."""
        tag = f".{self.variant}"
        return self.variant if any(name.startswith(f"{part}/") and tag in name for name in self.files) else None


def read_layout(model_index: dict[str, Any], names: Iterable[str], shown: str) -> PipelineFolder:
    """Decide from an index and a list of files how a pipeline is to be loaded.

    Args:
        model_index: content of ``model_index.json``.
        names: files of the folder, relative, with forward slashes.
        shown: how to name the model in an error.

    Raises:
        UserError: the pipeline is of a class that is not supported, or needs code of its own.
    """
    there = set(names)
    pipeline = str(model_index.get("_class_name"))
    if pipeline not in PIPELINES:
        raise UserError(f"model {shown} is a {pipeline}, which is not supported: use {' or '.join(PIPELINES)}")
    family = PIPELINES[pipeline]
    for part in family.parts:
        library, kind = (model_index.get(part) or (None, None))[:2]
        if library is None:
            raise UserError(f"model {shown} has no {part}: it is not a complete {pipeline}")
        if library not in _LIBRARIES:
            raise UserError(f"model {shown} needs code of its own for its {part} ({library}), which is never run")
        if part == family.denoiser_part and kind != family.denoiser:
            name = "UNet" if part == "unet" else part
            raise UserError(f"model {shown} has a {kind} as {name}, which is not supported: use a {family.denoiser}")
    parts = (*family.parts, *(part for part in family.optional if (model_index.get(part) or [None])[0] is not None))
    candidates = [_layout(pipeline, family.name, parts, there, variant, pure) for variant, pure in _VARIANTS]
    return min(
        candidates, key=lambda layout: (len(layout.missing), bool(layout.missing) and layout.variant is not None)
    )


def read_folder(path: Path, shown: str) -> PipelineFolder:
    """The layout of a folder on disk.

    Raises:
        UserError: it is not a diffusers pipeline, or not a supported one; see :func:`read_layout`.
    """
    try:
        index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        single = next(iter(sorted(path.glob("*.safetensors"))), None)
        advice = f"; give --model {single}, a single file" if single else ""
        raise UserError(
            f"model folder {shown} is not a diffusers pipeline: it has no model_index.json{advice}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"model folder {shown}: model_index.json cannot be read ({error})") from error
    if not isinstance(index, dict):
        raise UserError(f"model folder {shown}: model_index.json is not a table of parts")
    return read_layout(index, (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()), shown)


def require_complete(layout: PipelineFolder, shown: str) -> None:
    """Refuse a pipeline that cannot be loaded safely or at all.

    Raises:
        UserError: weights are pickled, or files are missing.
    """
    if layout.pickled:
        raise UserError(
            f"model {shown} has {layout.pickled[0]} but no safetensors: pickled weights can run any code when they "
            "are read and are refused; save them again with diffusers' save_pretrained(safe_serialization=True)"
        )
    if layout.missing:
        more = f" and {len(layout.missing) - 1} more" if len(layout.missing) > 1 else ""
        raise UserError(f"model {shown} is incomplete: {layout.missing[0]}{more} is missing")


def default_size(path: Path) -> tuple[int, int]:
    """``(width, height)`` in pixels for which a pipeline was made, by its own configuration."""
    if (path / "unet").is_dir():
        sample = read_config(path / "unet").get("sample_size") or 64
    else:
        sample = read_config(path / "transformer").get("sample_size") or 128  # FLUX names none; it is made for 1024²
    vae = read_config(path / "vae")
    blocks = vae.get("block_out_channels") or vae.get("decoder_block_out_channels") or [0] * 4
    height, width = (sample, sample) if isinstance(sample, int) else sample
    factor = 2 ** (len(blocks) - 1)
    return width * factor, height * factor


def folder_digest(path: Path, layout: PipelineFolder) -> str:
    """A hash of what a pipeline folder would draw: 32 hex digits, in a fraction of a second.

    Raises:
        UserError: one of its large files is damaged.

    Every file that is loaded counts with its name and size. Files of up to 64 MB are read in full. Of larger weights,
    the safetensors header (names, shapes, dtypes) and the first 4 KB of every tensor are: training or
    merging changes every value of the tensors it touches, so this notices it without reading gigabytes.
    """
    digest = hashlib.sha256()
    for name in layout.files:
        _digest(digest, name, path / name)
    return digest.hexdigest()[:32]


def file_digest(file: Path) -> str:
    """The same of a single safetensors file, whatever its name.

    Raises:
        UserError: it is large and damaged.
    """
    digest = hashlib.sha256()
    _digest(digest, "", file)
    return digest.hexdigest()[:32]


def _digest(digest: "hashlib._Hash", name: str, file: Path) -> None:
    size = file.stat().st_size
    digest.update(f"{name}\0{size}\0".encode())
    if size <= _WHOLE or file.suffix != ".safetensors":
        digest.update(hashlib.sha256(file.read_bytes()).digest())
        return
    tensors = read_header(file)
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        digest.update(stream.read(length))
        for _, tensor in sorted(tensors.items()):
            start, stop = tensor["data_offsets"]
            stream.seek(8 + length + start)
            digest.update(stream.read(min(_SAMPLE, stop - start)))


def _layout(
    pipeline: str, family: str, parts: Iterable[str], there: set[str], variant: str | None, pure: bool
) -> PipelineFolder:
    files, missing, pickled = ["model_index.json"], [], []
    for part in parts:
        if part == "scheduler":
            needed = ["scheduler/scheduler_config.json"]
        elif part.startswith("tokenizer"):
            pieces = {f"{part}/vocab.json", f"{part}/merges.txt"}
            needed = sorted(pieces if pieces & there else {f"{part}/tokenizer.json"})
            if not set(needed) <= there and f"{part}/{_SENTENCEPIECE}" in there:
                needed = [f"{part}/{_SENTENCEPIECE}"]
            extra = {name for name in there if name.startswith(f"{part}/") and name.endswith(_OF_TOKENIZERS)}
            needed += sorted(extra.difference(needed))
        else:
            weights = _weight_files(part, there, variant)
            if not pure and not set(weights) <= there:
                weights = _weight_files(part, there, None)
            needed = [f"{part}/config.json", *weights]
            if not set(weights) <= there:
                pickled += sorted(name for name in there if name.startswith(f"{part}/") and name.endswith(_PICKLES))
        files += needed
        missing += [name for name in needed if name not in there]
    return PipelineFolder(pipeline, family, variant, tuple(sorted(files)), tuple(missing), tuple(pickled))


def _weight_files(part: str, there: set[str], variant: str | None) -> list[str]:
    """The safetensors of a part: a single file, or an index and its shards."""
    stem = f"{part}/{_WEIGHTS[part]}"
    tag = f".{variant}" if variant else ""
    single = f"{stem}{tag}.safetensors"
    index = f"{stem}.safetensors.index{tag}.json"
    if single in there or index not in there:
        return [single]
    number = r"-\d{5}-of-(\d{5})"
    # A variant's tag stands before the shard's number, or after it in folders of older diffusers versions.
    kinds = [f"{stem}{tag}{number}.safetensors", f"{stem}{number}{tag}.safetensors"]
    for name in sorted(there):
        for kind in kinds:
            if match := re.fullmatch(kind.replace(".", r"\."), name):
                return [index, *(_numbered(name, shard) for shard in range(1, int(match[1]) + 1))]
    return [index, single]


def _numbered(name: str, shard: int) -> str:
    return re.sub(r"-\d{5}-of-", f"-{shard:05d}-of-", name)


def read_config(path: Path) -> dict[str, Any]:
    """Content of the ``config.json`` of one of a pipeline's parts."""
    content: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return content
