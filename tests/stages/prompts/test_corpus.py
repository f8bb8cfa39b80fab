"""Corpora: every format, and one clear line for every kind of bad file."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsfactory.errors import UserError
from dsfactory.stages.prompts.corpus import Corpus

CAPTIONS = ["A dog on a sofa.", "Two birds, one branch", 'A "hot" dog', "Ein Vogel über der Straße"]


def texts(path: Path, column: str | None = None) -> list[str]:
    return [caption.text for caption in Corpus(str(path), column).captions()]


def failure(path: Path | str, column: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        list(Corpus(str(path), column).captions())
    message = str(error.value)
    assert "\n" not in message
    return message


def test_built_in_coco_has_captions_with_their_ids() -> None:
    captions = list(Corpus("coco").captions())
    assert len(captions) == 24_785
    assert captions[0].text == "A black Honda motorcycle parked in front of a garage."
    assert captions[0].source == "coco-val2017:38"


def test_built_in_parti_reads_its_own_column() -> None:
    captions = list(Corpus("parti").captions())
    assert len(captions) == 1632
    assert captions[0].source == "parti:2"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("form", ["txt", "csv", "tsv", "jsonl"])
def test_text_formats(tmp_path: Path, form: str, packed: bool) -> None:
    quoted = [caption.replace('"', '""') for caption in CAPTIONS]
    content = {
        "txt": "\n".join(CAPTIONS) + "\n",
        "csv": "id,caption\n" + "".join(f'{n},"{caption}"\n' for n, caption in enumerate(quoted)),
        "tsv": "id\tcaption\n" + "".join(f"{n}\t{caption}\n" for n, caption in enumerate(CAPTIONS)),
        "jsonl": "".join(json.dumps({"id": n, "caption": caption}) + "\n" for n, caption in enumerate(CAPTIONS)),
    }[form]
    path = tmp_path / (f"my.{form}.gz" if packed else f"my.{form}")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert texts(path) == CAPTIONS
    first = next(Corpus(str(path)).captions())
    assert first.source == ("file:1" if form in ("txt", "jsonl") else "file:2")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "my.parquet"
    values = pa.array([*CAPTIONS, None], pa.string()).cast(kind)
    pq.write_table(pa.table({"id": range(5), "words": values}), path)
    captions = list(Corpus(str(path), "words").captions())
    assert [caption.text for caption in captions] == CAPTIONS
    assert [caption.source for caption in captions] == ["file:1", "file:2", "file:3", "file:4"]


def test_byte_order_mark_windows_lines_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_bytes(b"\xef\xbb\xbfcaption,n\r\nA dog,1\r\n\r\n  ,2\r\n" + b'"A bird\r\non a wire",3\r\n')
    captions = list(Corpus(str(path)).captions())
    assert [caption.text for caption in captions] == ["A dog", "A bird on a wire"]
    assert captions[1].source == "file:5"


def test_text_is_one_printable_composed_line(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    path.write_text(json.dumps({"caption": "a cafe\u0301 \x1b[31m dog\x00\u2028 \t here "}), encoding="utf-8")
    assert texts(path) == ["a café [31m dog here"]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_missing_column_names_those_there_are(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"my.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"number": ["1"], "sentence": ["A dog"]}), path)
    elif form == "jsonl":
        path.write_text('{"number": 1, "sentence": "A dog"}\n')
    else:
        path.write_text("number,sentence\n1,A dog\n".replace(",", "\t" if form == "tsv" else ","))
    message = failure(path)
    assert "no column 'caption'" in message
    assert "number, sentence" in message
    assert texts(path, "sentence") == ["A dog"]


def test_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "my.txt"
    path.write_bytes("A dog\nA bird\nEin Vogel über\n".encode("latin-1"))
    message = failure(path)
    assert "line 3" in message
    assert "0xfc" in message


@pytest.mark.parametrize("name", ["my.txt", "my.csv", "my.jsonl", "my.txt.gz", "my.parquet"])
def test_empty_corpus(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"caption": pa.array([], pa.string())}), path)
    else:
        path.write_bytes(gzip.compress(b"\n") if name.endswith("gz") else b"")
    assert "holds no captions" in failure(path)


def test_damaged_files(tmp_path: Path) -> None:
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(gzip.compress(b"A dog on a sofa\n" * 1000)[:-20])
    assert "damaged gzip" in failure(cut)
    plain = tmp_path / "plain.txt.gz"
    plain.write_bytes(b"A dog\n")
    assert "damaged gzip" in failure(plain)
    table = tmp_path / "my.parquet"
    table.write_bytes(b"A dog\n")
    assert "not a readable parquet" in failure(table)
    broken = tmp_path / "my.jsonl"
    broken.write_text('{"caption": "A dog"}\n{"caption": \n')
    assert "line 2: not JSON" in failure(broken)
    broken.write_text('["A dog"]\n')
    assert "line 1: not a JSON object" in failure(broken)
    broken.write_text('{"caption": "A dog"}\n{"caption": ["A dog"]}\n')
    assert "line 2: 'caption' is a list" in failure(broken)
    pq.write_table(pa.table({"caption": [1, 2]}), table)
    assert "holds int64, not text" in failure(table)


def test_not_a_corpus(tmp_path: Path) -> None:
    assert "built-in corpus (coco, parti)" in failure("cocoo")
    assert "is a folder" in failure(tmp_path)
    (tmp_path / "my.xlsx").write_bytes(b"PK")
    assert "unknown format" in failure(tmp_path / "my.xlsx")
    image = tmp_path / "image.txt"
    image.write_bytes(b"\x01" * (2 << 20))
    assert "longer than 1 MiB" in failure(image)


def test_check_reads_only_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    path.write_bytes(b'{"caption": "A dog"}\n\xff\n')
    Corpus(str(path)).check()
    assert "line 2: not UTF-8" in failure(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("caption\n")
        for number in range(20_000):
            file.write(f"A dog number {number} is sitting on a wooden bench in the park near the lake\n")
    tracemalloc.start()
    count = sum(1 for _ in Corpus(str(path)).captions())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 1_500_000


def test_a_long_field_of_a_csv_is_read_and_an_open_quotation_mark_is_named(tmp_path: Path) -> None:
    """Python's own limit is 131,072 characters."""
    path = tmp_path / "my.csv"
    path.write_text(f'caption,note\na dog,"{"x" * 200_000}"\na bird,\n')
    assert [caption.text for caption in Corpus(str(path)).captions()] == ["a dog", "a bird"]
    path.write_text('caption\n"a dog\n' + ("y" * 100_000 + "\n") * 12)
    with pytest.raises(UserError, match="is one not closed") as error:
        list(Corpus(str(path)).captions())
    assert "field larger than" not in str(error.value)
