#!/usr/bin/env python3
"""Makes data/fashion-mnist/ from the IDX files of Fashion-MNIST.

    apt-get install dataset-fashion-mnist        # or take the same four files from anywhere else
    python3 data/make_fashion_mnist.py /usr/share/datasets/fashion-mnist data/fashion-mnist

Takes the first 300 images of each class from the training file, in the file's order, and writes each as a grey 8-bit PNG
named after its index in that file. Needs nothing but Python's standard library; the same bytes on every machine with the
same zlib.
"""

import gzip
import struct
import sys
import zlib
from pathlib import Path

CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
IMAGES_PER_CLASS = 300


def read_idx(path, magic, header):
    with gzip.open(path) as file:
        data = file.read()
    fields = struct.unpack(f">{header}I", data[: 4 * header])
    if fields[0] != magic:
        sys.exit(f"error: {path} is not the IDX file expected (magic {fields[0]}, not {magic})")
    return fields[1:], data[4 * header :]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows):
    """Grey 8-bit PNG of equally long byte rows, with whichever single row filter packs best."""
    width = len(rows[0])

    def filtered(kind):
        above = bytes(width)
        for row in rows:
            left = bytes(1) + row[:-1]
            predicted = {0: bytes(width), 1: left, 2: above}[kind]
            yield bytes([kind]) + bytes((value - guess) & 255 for value, guess in zip(row, predicted))
            above = row

    best = min((zlib.compress(b"".join(filtered(kind)), 9) for kind in (0, 1, 2)), key=len)
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", best) + chunk(b"IEND", b"")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: make_fashion_mnist.py DIRECTORY_OF_IDX_FILES OUTPUT_DIRECTORY")
    idx, output = Path(sys.argv[1]), Path(sys.argv[2])
    (count, height, width), pixels = read_idx(idx / "train-images-idx3-ubyte.gz", 2051, 4)
    (label_count,), labels = read_idx(idx / "train-labels-idx1-ubyte.gz", 2049, 2)
    assert count == label_count, "as many labels as images"
    written = [0] * len(CLASSES)
    for index, label in enumerate(labels):
        if written[label] == IMAGES_PER_CLASS:
            continue
        written[label] += 1
        start = index * height * width
        rows = [pixels[start + y * width : start + (y + 1) * width] for y in range(height)]
        directory = output / CLASSES[label]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{index:05}.png").write_bytes(png(rows))
    print(f"{sum(written)} images of {len(CLASSES)} classes in {output}")


if __name__ == "__main__":
    main()
