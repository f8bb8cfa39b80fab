"""Options that several commands share, each with its help text."""

from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli.places import new_place, on_disk, run_place

Classes = Annotated[str | None, typer.Option(help="Class names, separated by commas: dog,traffic light")]
ClassesFile = Annotated[
    Path | None, typer.Option(help="A file with a class per line: 'name' or 'name: synonym, synonym'.")
]
Num = Annotated[
    int | None,
    typer.Option(help="Images per class that the run is to have; once it has them, nothing is done [default: 100]"),
]
Append = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Add so many images per class to a run that is there, and again with every further call; a run that was "
        "stopped on its way is finished first. (--num is a fixed target instead.)",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="Who draws: a preset ('dsfactory models list'), a hub id or a folder [default: pocket]"),
]
Out = Annotated[
    Path | None,
    typer.Option(help="The run's folder, or s3://BUCKET/PATH [default: runs/CLASSES-MODEL]", callback=run_place),
]
ExportOut = Annotated[
    Path | None,
    typer.Option(
        help="Where to, a folder or s3://BUCKET/PATH; with several formats each gets a folder [default: "
        "RUN/export/FORMAT]",
        callback=new_place,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(help="A run.yaml; flags win over it, it wins over the run's saved config.", callback=on_disk),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the run [default: 0]")]
Corpus = Annotated[
    str | None, typer.Option(help="Captions: 'coco' or a txt, csv, tsv, jsonl or parquet file [default: coco]")
]
Column = Annotated[str | None, typer.Option(help="The caption column of your corpus.")]
Objects = Annotated[str | None, typer.Option(help="Classes per image: '1' or a range such as '1-3' [default: 1]")]
Style = Annotated[
    str | None,
    typer.Option(help="Looks, separated by commas (watercolour,35mm film): every prompt gets one, each equally often."),
]
Scene = Annotated[
    str | None,
    typer.Option(help='Places, likewise: "in the snow,at night". Captions that name a place give way.'),
]
Weather = Annotated[str | None, typer.Option(help='Weather or light, likewise: "in the rain,foggy".')]
NegativePrompt = Annotated[
    str | None, typer.Option(help='What guidance steers away from; "" for nothing [default: the model\'s]')
]
Width = Annotated[int | None, typer.Option(help="Image width in pixels [default: the model's]")]
Height = Annotated[int | None, typer.Option(help="Image height in pixels [default: the model's]")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps [default: the model's]")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale [default: the model's]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 … [default: auto]")]
BatchSize = Annotated[int | None, typer.Option(help="Images drawn at once; halved by itself when memory runs out.")]
ShardSize = Annotated[int | None, typer.Option(help="Samples per shard of a new run [default: 32]")]
Threshold = Annotated[
    str | None, typer.Option(help="'auto' (chosen per image) or a number from 0 to 1 [default: auto]")
]
Crf = Annotated[str | None, typer.Option(help="The CRF's backend: lattice, pydensecrf, or 'off' [default: lattice]")]
Affinity = Annotated[
    str | None,
    typer.Option(
        help="What thresholds are judged by: net (a network trained on this run), self (the model's self-attention) "
        "or none [default: self]"
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting: --set refine.certainty=0.9 (may be repeated).")
]
Format = Annotated[
    str,
    typer.Option(
        help="What to write, separated by commas: coco, cvat, hf (ImageFolder), parquet (Hugging Face), "
        "png (mmsegmentation), voc, webdataset, yolo."
    ),
]
Redo = Annotated[
    bool, typer.Option("--redo", help="Make it again with these settings; what depends on it is made again later.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON summary instead of words.")]
RunPath = Annotated[
    Path | None,
    typer.Argument(help="The run's folder, or s3://BUCKET/PATH [default: the newest under ./runs]", callback=run_place),
]
ImageFormat = Annotated[
    str | None,
    typer.Option(
        help="jpg or png [default: what the format's readers expect: jpg for voc and png, png for the others]"
    ),
]
Rle = Annotated[
    bool, typer.Option("--rle", help="COCO segmentations as run lengths; several loaders read polygons only.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done, with an estimate of images, time and disk.")
]
NoSplice = Annotated[bool, typer.Option("--no-splice", help="Leave spliced images out; by default they go to train.")]
NoFilter = Annotated[
    bool, typer.Option("--no-filter", help="Take all refined samples, whatever 'dsfactory filter' has dropped.")
]
ValShare = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the images that goes to the val split.")]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Stop after this time (90s, 20m, 6h, 1h30m), when the shard in hand is finished, with exit code 5."
    ),
]
Until = Annotated[
    str | None, typer.Option(help="Stop at this local time (06:00), when the shard in hand is finished; exit code 5.")
]
MaxGb = Annotated[
    float | None,
    typer.Option(min=0, help="Stop before the run is larger than this, or the disk nearly full; exit code 5."),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", help="For cron: print only what someone should look at (errors, new failures, a full disk)."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Worker processes that share the shards, each with one thread unless OMP_NUM_THREADS is set [default: "
        "this process, with all its threads]",
    ),
]
Devices = Annotated[str | None, typer.Option(help="CUDA devices, one worker process each: 0,1 or all.")]
Engine = Annotated[str, typer.Option(help="Who shares the shards out: local (this machine) or ray (a cluster).")]
Address = Annotated[
    str | None, typer.Option(help="The Ray cluster: host:port of its head, or auto [default: $RAY_ADDRESS, else here]")
]
