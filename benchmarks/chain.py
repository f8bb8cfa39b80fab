"""The whole chain beside the bare pipeline: prompts to masks, where refine has a core of its own.

A Stable Diffusion 1.5 of full size with random weights draws the same prompts from the same seeds twice: in the bare
diffusers pipeline, and as ``dsfactory run`` does it, with capture, files, and a worker that refines finished shards
meanwhile. Both arms draw on the same core with the model loaded beforehand, in interleaved pairs; the chain's clock
stops when the last mask is on the disk. Give the refining worker another core with ``--refine-core``; a fast GPU wants
several of either, and there is a worker for each core that refines.

    python -m benchmarks.chain --draw-core 0 --refine-core 1
    python -m benchmarks.chain --size 512 --steps 4 --images 4 --json build/bench/chain.json
    python -m benchmarks.chain --device cuda --dtype bf16 --size 512 --steps 25 --batch-size 8 --images 128 \\
        --draw-core 0 1 2 3 --refine-core 4 5 6 7
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import diffusers
import torch

from benchmarks.capture import CLASSES, GUIDANCE, PROMPT
from benchmarks.machine import describe, interleaved, machine, make_parser, summary, write_result
from benchmarks.models import stable_diffusion_15
from dsfactory.core.chain import Input, Step
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardWriter
from dsfactory.core.stage import fingerprint
from dsfactory.models.devices import DTYPES, choose_device
from dsfactory.runner.inline import Inline
from dsfactory.runner.limits import UNLIMITED
from dsfactory.runner.processes import Team
from dsfactory.runner.progress import Silent
from dsfactory.runner.scheduler import TURN_S, carry_out, works_of
from dsfactory.runner.work import Work
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.sampler import Sampler
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.prompts.stage import PromptsStage
from dsfactory.stages.prompts.vocabulary import find_mentions
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.stage import RefineStage


class LoadedGenerate(GenerateStage):
    """The generate stage with a pipeline that is in memory already."""

    def __init__(self, sampler: Sampler, size: int) -> None:
        super().__init__(GenerateConfig(width=size, height=size), CLASSES)
        self._loaded = sampler

    def identity(self) -> dict[str, Any]:
        return {"pipeline": "Stable Diffusion 1.5 size, random weights"}

    def load(self) -> None:
        self._sampler = self._loaded


class Pinned(Inline):
    """Images are made here, masks by a worker process for each core that refines.

    Args:
        images, masks: the two works.
        cores: that refine.
    """

    def __init__(self, images: Work, masks: Work, cores: list[int]) -> None:
        super().__init__(images, Team(masks, [masks.step.stage] * len(cores), ahead=2))
        self._images, self._cores = images, cores
        self.drawn: float | None = None
        """When the last image was there."""

    def __enter__(self) -> Self:
        with pinned(self._cores):  # inherited by the workers
            return super().__enter__()

    def wait(self, hand_out: Callable[[], None], timeout: float = TURN_S) -> None:
        super().wait(hand_out, timeout)
        if self.drawn is None and not self._images.busy:
            self.drawn = time.perf_counter()


def write_prompts(run: Run) -> Input:
    identity = {"prompt": PROMPT}
    mark = fingerprint("prompts", 1, identity, "")
    run.begin_stage(StageState(stage="prompts", version=1, fingerprint=mark, upstream="", identity=identity))
    for spec in run.shards():
        with ShardWriter(run.stage_folder("prompts"), spec, PromptsStage.writes.schema, mark) as writer:
            for number in range(spec.start, spec.stop):
                row = {
                    "key": sample_key(number), "number": number, "class_name": "dog", "classes": ["dog"],
                    "index": number, "prompt": PROMPT, "source": "benchmark", "seed": number,
                }  # fmt: skip
                writer.add(Record(row["key"], row))
            writer.commit()
    return Input(PromptsStage, mark)


def refine_config(place: str) -> RefineConfig:
    """The masks' settings, computed on cores or on a GPU."""
    return RefineConfig(min_box=0) if place == "cpu" else RefineConfig(min_box=0, crf_backend="torch", device=place)


def chain(path: Path, sampler: Sampler, arguments: argparse.Namespace) -> tuple[float, float]:
    """Make a run; seconds until the last mask is there, and how many of these came after the last image."""
    with Run.claim(path, CLASSES, 0) as run:
        run.grow(arguments.images, arguments.batch_size)
        generate = Step(LoadedGenerate(sampler, arguments.size), (write_prompts(run),))
        refine = Step(RefineStage(refine_config(arguments.refine_on), CLASSES), (generate.as_input(),))
        start = time.perf_counter()
        images, masks = works_of(run, [generate, refine], Silent(), UNLIMITED)
        slots = Pinned(images, masks, arguments.refine_core)
        carry_out([images, masks], slots)
        end = time.perf_counter()
        assert images.finish().made == masks.finish().made == arguments.images
    assert slots.drawn is not None
    return end - start, end - slots.drawn


@contextmanager
def pinned(cores: list[int]) -> Iterator[None]:
    """Stay on some cores for the block; processes and threads begun in it stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def bare(pipeline: Any, arguments: argparse.Namespace) -> float:
    """Draw the same images with nothing around the pipeline; seconds."""
    start = time.perf_counter()
    for first in range(0, arguments.images, arguments.batch_size):
        seeds = range(first, min(first + arguments.batch_size, arguments.images))
        pipeline(
            [PROMPT] * len(seeds),
            width=arguments.size,
            height=arguments.size,
            num_inference_steps=arguments.steps,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
        )
    return time.perf_counter() - start


def measure(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    pipeline = stable_diffusion_15(DTYPES[arguments.dtype], device)
    sampler = Sampler(
        pipeline, width=arguments.size, height=arguments.size, steps=arguments.steps, guidance=GUIDANCE,
        find_mentions=find_mentions, batch_size=arguments.batch_size, affinity=True,
    )  # fmt: skip
    bare(pipeline, argparse.Namespace(**{**vars(arguments), "images": 1}))  # warm-up
    seconds: dict[str, list[float]] = {"chain": [], "bare": []}
    tails = []
    with tempfile.TemporaryDirectory() as folder:
        for number, arm in enumerate(interleaved(("chain", "bare"), arguments.pairs)):
            if arm == "bare":
                seconds[arm].append(bare(pipeline, arguments))
            else:
                whole, tail = chain(Path(folder) / str(number), sampler, arguments)
                seconds[arm].append(whole)
                tails.append(tail)
    return {
        "seconds": {arm: summary(values) for arm, values in seconds.items()},
        "tail_seconds": summary(tails),
        "ratio": summary([with_all / alone for with_all, alone in zip(*seconds.values(), strict=True)]),
    }


def report(result: dict[str, Any]) -> str:
    ran, ratio = result["settings"], result["ratio"]
    cores = [",".join(map(str, ran[name])) for name in ("draw_core", "refine_core")]
    lines = [
        f"Stable Diffusion 1.5 size, random weights, {ran['images']} images of {ran['size']}² px, "
        f"{ran['steps']} steps, batch {ran['batch_size']}, {ran['dtype']}, drawing on core {cores[0]}, "
        f"refining on core {cores[1]}",
        describe(result["machine"]),
    ]
    for arm, values in result["seconds"].items():
        lines.append(f"{arm:<14}{values['median']:8.2f} s   ({values['min']:.2f} to {values['max']:.2f})")
    tail = result["tail_seconds"]
    lines.append(f"after drawing {tail['median']:8.2f} s   ({tail['min']:.2f} to {tail['max']:.2f})")
    lines.append(f"chain ÷ bare  {ratio['median']:8.3f}     ({ratio['min']:.3f} to {ratio['max']:.3f}), goal ≤ 1.05")
    return "\n".join(lines)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps per image")
    parser.add_argument("--images", type=int, default=4, help="images per arm and pair")
    parser.add_argument("--batch-size", type=int, default=1, help="images per batch and shard")
    parser.add_argument("--pairs", type=int, default=3, help="how often each arm draws")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--draw-core", type=int, nargs="+", default=cores[:1], help="core that draws, or several")
    parser.add_argument("--refine-core", type=int, nargs="+", default=cores[-1:], help="core that refines, or several")
    parser.add_argument("--refine-on", default="cpu", help="cpu, or the GPU on which masks are made: cuda, cuda:1 …")
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    device = choose_device(arguments.device)
    place = machine(device)
    with pinned(arguments.draw_core):
        result = measure(arguments, device)
    print(report(write_result(arguments, {"machine": place, **result})))


if __name__ == "__main__":
    main()
