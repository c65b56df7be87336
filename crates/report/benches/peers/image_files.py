"""Image files to augmented pixels in memory: `image_files.py pillow|opencv|torchvision|keras DIRECTORY`.

Every library does the notebook's augmentation in the way that its manual shows, in as many processes as there are threads on the other
side. Pillow, the fastest, does less than the others: it rotates and shifts in one warp, without shear, zoom, brightness and flip.
"""

import multiprocessing
import random
import sys
import time
from pathlib import Path

from serve import BATCH, SIDE, THREADS, importing, serve

ROTATION, SHIFT, SHEAR, ZOOM, BRIGHTNESS = 40, 0.2, 0.2, 0.1, 0.2


def pillow():
    import numpy
    import PIL
    from PIL import Image

    def augmented(file):
        image = Image.open(file)
        # The JPEG decoder halves the size as often as the target allows.
        image.draft("RGB", (SIDE, SIDE))
        image = image.convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)
        shift = [random.uniform(-SHIFT, SHIFT) * SIDE for _ in range(2)]
        image = image.rotate(random.uniform(-ROTATION, ROTATION), Image.BILINEAR, translate=shift)
        return numpy.asarray(image)

    return "Pillow " + PIL.__version__, each(augmented)


def opencv():
    import albumentations
    import cv2

    cv2.setNumThreads(1)
    transform = albumentations.Compose([
        albumentations.Resize(SIDE, SIDE, interpolation=cv2.INTER_AREA),
        albumentations.Affine(
            rotate=(-ROTATION, ROTATION),
            translate_percent=(-SHIFT, SHIFT),
            shear=(-SHEAR, SHEAR),
            scale=(1 - ZOOM, 1 + ZOOM),
            border_mode=cv2.BORDER_REPLICATE,
        ),
        albumentations.RandomBrightnessContrast((-BRIGHTNESS, BRIGHTNESS), (0, 0), p=1),
        albumentations.HorizontalFlip(),
    ])

    def augmented(file):
        return transform(image=cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB))["image"]

    return f"OpenCV {cv2.__version__} and albumentations {albumentations.__version__}", each(augmented)


def torchvision():
    import torch
    import torchvision
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    transform = v2.Compose([
        v2.Resize((SIDE, SIDE), antialias=True),
        v2.RandomAffine(ROTATION, translate=(SHIFT, SHIFT), scale=(1 - ZOOM, 1 + ZOOM), shear=SHEAR),
        v2.ColorJitter(brightness=BRIGHTNESS),
        v2.RandomHorizontalFlip(),
    ])

    def augmented(file):
        return transform(decode_image(file, mode=ImageReadMode.RGB))

    return "torchvision v2 " + torchvision.__version__, each(augmented)


def keras():
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import scipy  # noqa: F401: the generator's warp needs it
    import tensorflow

    image = tensorflow.keras.preprocessing.image
    generator = image.ImageDataGenerator(
        rotation_range=ROTATION,
        width_shift_range=SHIFT,
        height_shift_range=SHIFT,
        shear_range=SHEAR,
        zoom_range=ZOOM,
        brightness_range=(1 - BRIGHTNESS, 1 + BRIGHTNESS),
        horizontal_flip=True,
        rescale=1 / 255,
    )

    def augmented(file):
        pixels = image.img_to_array(image.load_img(file, target_size=(SIDE, SIDE)))
        return generator.standardize(generator.random_transform(pixels))

    return "Keras ImageDataGenerator, TensorFlow " + tensorflow.__version__, each(augmented)


def each(augmented):
    def work(files):
        for file in files:
            augmented(file)

    return work


def main(peer, directory):
    version, work = importing({"pillow": pillow, "opencv": opencv, "torchvision": torchvision, "keras": keras}[peer])
    files = sorted(str(file) for file in Path(directory).glob("*/*"))

    # The work is handed to the processes by being there when they fork.
    global WORK
    WORK = work
    with multiprocessing.get_context("fork").Pool(THREADS) as pool:
        chunks = [files[at : at + BATCH] for at in range(0, len(files), BATCH)]

        def measure(count):
            some = chunks[: int(count) // BATCH]
            start = time.perf_counter()
            pool.map(call, some, chunksize=1)
            return sum(map(len, some)) / (time.perf_counter() - start)

        measure(THREADS * BATCH)
        serve(measure, version)


def call(files):
    WORK(files)


if __name__ == "__main__":
    main(*sys.argv[1:])
