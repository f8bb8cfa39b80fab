"""Coverage-guided fuzzing of the parsers that are pure Python, for those who have atheris (pip install atheris).

    python -m scripts.fuzz_atheris coco -max_total_time=600 build/fuzz/coco

The first argument is a parser, the others go to libFuzzer: limits, and a folder in which inputs that reached something
new are kept for the next time. An input may end in one clear line, never in a traceback.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dsfactory"]):
    from dsfactory.core.classes import ClassSpec, read_class_file
    from dsfactory.core.reading import read_text
    from dsfactory.errors import DsfactoryError
    from dsfactory.formats.coco.read import read_coco
    from dsfactory.formats.cvat.read import read_cvat
    from dsfactory.formats.reading.labels import Expected
    from dsfactory.formats.reading.source import Source
    from dsfactory.formats.voc.layout import parse_labelmap
    from dsfactory.jobs.settings import resolve_config
    from dsfactory.stages.annotate.pictures import read_image_classes
    from dsfactory.stages.prompts.corpus import Corpus

CLASSES = ("dog", "bird")
SEEDS = {
    "classes": b"dog: puppy, hound\ntraffic light\n# no class\n",
    "config": b"classes: [dog, {name: bird}]\nnum: 3\ngenerate: {steps: 2}\n",
    "csv": b'caption,x\n"a dog, big",1\na bird,2\n',
    "jsonl": b'{"caption": "a dog"}\n{"caption": "a bird", "x": [1]}\n',
    "shown": b"file,classes\na.jpg,dog;bird\n",
    "labelmap": b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:128,0,0::\n",
    "coco": b'{"categories": [{"id": 1, "name": "dog"}], "images": [{"id": 1, "file_name": "00000000.jpg", "width": 8, '
    b'"height": 8}], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]]}, '
    b'{"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [8, 8], "counts": [3, 5, 56]}}]}',
    "cvat": b'<annotations><image name="00000000.jpg" width="8" height="8"><polygon label="dog" points="1,1;5,1;5,5"/>'
    b'<mask label="bird" rle="0, 4" left="1" top="1" width="2" height="2" z_order="1" group_id="2"/></image>'
    b"</annotations>",
}
"""A good input for each parser, from which the search begins."""


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def _labels(read: Callable[..., Iterator[object]], path: Path) -> None:
    with Source.open(path) as source:
        for _ in read(source, Expected(CLASSES)):
            pass


PARSERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "classes": ("classes.txt", read_class_file),
    "config": ("run.yaml", lambda path: resolve_config(path, path, {})),
    "csv": ("captions.csv", lambda path: list(Corpus(str(path)).captions())),
    "jsonl": ("captions.jsonl", lambda path: list(Corpus(str(path)).captions())),
    "shown": ("shown.csv", lambda path: read_image_classes(path, [ClassSpec(name=name) for name in CLASSES])),
    "labelmap": ("labelmap.txt", lambda path: parse_labelmap(read_text(path, "label map"), str(path))),
    "coco": ("a.json", lambda path: _labels(read_coco, path)),
    "cvat": ("annotations.xml", lambda path: _labels(read_cvat, path)),
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PARSERS:
        raise SystemExit(f"name a parser: {', '.join(PARSERS)}")
    file, parse = PARSERS[name]

    def one_input(data: bytes) -> None:
        with _file(file, data) as path:
            try:
                parse(path)
            except DsfactoryError as error:
                assert len(str(error)) <= 1000, "a message that fills the screen"

    with tempfile.TemporaryDirectory() as seeds:
        (Path(seeds) / "seed").write_bytes(SEEDS[name])
        folders = [argument for argument in sys.argv[2:] if not argument.startswith("-")]
        for folder in folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
        kept = folders or [str(Path(seeds))]
        atheris.Setup([sys.argv[0], *sys.argv[2:], *([seeds] if folders else kept)], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
