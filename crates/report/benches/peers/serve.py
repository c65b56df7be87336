"""What all peers have in common: they say that they are ready, then measure what they are asked to, one line at a time.

The benchmark writes the name of a measure to stdin and reads a number from stdout; that way ours and the peers take turns without
loading a library twice. A library that is not installed is named instead.
"""

import os
import sys
import time

THREADS = int(os.environ.get("PEER_THREADS", "2"))
BATCH, SIDE, CLASSES = 32, 128, 19


def importing(load):
    """Calls `load`, which imports the peer's libraries; where one is missing, says which and ends the process."""
    try:
        return load()
    except ImportError as error:
        print("missing", error.name or error, flush=True)
        sys.exit(0)


def unusable(why):
    """Says why the peer cannot be measured here and ends the process: unlike a missing library, an error of the whole benchmark."""
    print("unusable", why, flush=True)
    sys.exit(0)


def serve(measure, version):
    """Answers every line of stdin with `measure(line)`."""
    print("ready", version, flush=True)
    for line in sys.stdin:
        print(measure(line.strip()), flush=True)


def images_per_second(run, images, runs, wait=lambda: None):
    """Of the mean of `runs` runs, to the end of the last one's work, which `wait` waits for."""
    start = time.perf_counter()
    for _ in range(runs):
        run()
    wait()
    return images * runs / (time.perf_counter() - start)
