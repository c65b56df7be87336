"""Opens the shards of a finished run with pyarrow and Hugging Face `datasets`, and compares them with the manifest.

    python3 -m venv venv && venv/bin/pip install pyarrow datasets pillow
    venv/bin/python tests/interop/check_shards.py runs/fashion-mnist/shards

Not part of the test suite: it needs Python. Exits with a message at the first disagreement.
"""

import io
import json
import pathlib
import sys
import tempfile

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def check(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


def check_with_pyarrow(shards, manifest):
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    size = (manifest["settings"]["image"]["width"], manifest["settings"]["image"]["height"])
    for entry in manifest["shards"]:
        file = pq.ParquetFile(shards / entry["file"])
        check(b"huggingface" in (file.metadata.metadata or {}), f"{entry['file']}: no features in the file's metadata")
        check(file.schema_arrow.field("image").type == image, f"{entry['file']}: image is {file.schema_arrow.field('image')}")
        for column in ("label", "copy", "group", "width", "height"):
            check(file.schema_arrow.field(column).type == pa.int64(), f"{entry['file']}: {column} is no int64")
        for column in ("source", "content"):
            check(file.schema_arrow.field(column).type == pa.string(), f"{entry['file']}: {column} is no string")
        largest = max(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        check(largest < 100e6, f"{entry['file']}: a row group of {largest / 1e6:.0f} MB")
        table = file.read()
        check(table.num_rows == entry["rows"], f"{entry['file']}: {table.num_rows} rows, manifest {entry['rows']}")
        check(set(table["copy"].to_pylist()) == {entry["copy"]}, f"{entry['file']}: other copies")
        check(all(column.null_count == 0 for column in table.columns), f"{entry['file']}: nulls")
        for side in ("width", "height"):
            check(min(table[side].to_pylist()) > 0, f"{entry['file']}: a picture without {side}")
        first = Image.open(io.BytesIO(table["image"][0]["bytes"].as_py()))
        check((first.size, first.mode, first.format) == (size, "RGB", "PNG"), f"{entry['file']}: {first}")
    print(f"pyarrow: {len(manifest['shards'])} shards as the manifest says")


def check_with_datasets(shards, manifest):
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(str(shards), cache_dir=cache)
        expected = {}
        for entry in manifest["shards"]:
            expected[entry["split"]] = expected.get(entry["split"], 0) + entry["rows"]
        check({name: split.num_rows for name, split in loaded.items()} == expected, f"splits {loaded}, manifest {expected}")
        for name, split in loaded.items():
            check(isinstance(split.features["image"], datasets.Image), f"{name}: image is {split.features['image']}")
            label = split.features["label"]
            check(isinstance(label, datasets.ClassLabel), f"{name}: label is {label}")
            check(label.names == manifest["classes"], f"{name}: classes {label.names}")
            originals = split.filter(lambda copy: copy == 0, input_columns="copy")
            counts = [originals["label"][:].count(i) for i in range(len(label.names))]
            check(counts == manifest["counts"][name], f"{name}: counts {counts}, manifest {manifest['counts'][name]}")
            sizes = {}
            for source, width, height in zip(split["source"], split["width"], split["height"]):
                same = sizes.setdefault(source, (width, height)) == (width, height)
                check(same, f"{name}: a copy of {source} is not of its size")
            check(split[0]["image"].mode == "RGB", f"{name}: {split[0]['image']}")
        groups = {name: set(split["group"]) for name, split in loaded.items()}
        if manifest["settings"]["split"]["near_duplicates"] == "together" and manifest["duplicates"]["across_splits"] == 0:
            for a in groups:
                for b in groups:
                    check(a == b or not groups[a] & groups[b], f"a group lies in {a} and {b}")
        print("datasets:", {name: split.num_rows for name, split in loaded.items()}, loaded["train"].features)


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[1])
    content = json.loads((directory / "manifest.json").read_text())
    check_with_pyarrow(directory, content)
    check_with_datasets(directory, content)
