"""Training steps and inference in TensorFlow's Keras, compiled as `fit` does it, on a batch that is in memory already."""

import os

from serve import BATCH, CLASSES, SIDE, THREADS, images_per_second, importing, serve

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def load():
    import numpy
    import tensorflow

    return numpy, tensorflow


numpy, tensorflow = importing(load)
tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
tensorflow.config.threading.set_inter_op_parallelism_threads(1)
layers = tensorflow.keras.layers


def baseline_cnn(x):
    for groups in ([(32, "same")], [(64, "same")] * 2, [(128, "valid")] * 2):
        for filters, padding in groups:
            x = layers.Conv2D(filters, 3, padding=padding, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    return layers.Dropout(0.5)(x)


def unit(x, filters, shortcut):
    branch = x
    for out in (x.shape[-1], filters):
        branch = layers.ReLU()(layers.BatchNormalization()(branch))
        branch = layers.Conv2D(out, 3, padding="same")(branch)
    return layers.Add()([shortcut, branch])


def resnet(x):
    x = layers.Conv2D(32, 7, strides=2)(x)
    x = unit(x, 32, x)
    x = layers.Conv2D(32, 3, strides=2)(x)
    return layers.Flatten()(unit(x, 64, layers.Conv2D(64, 1)(x)))


class Bench:
    def __init__(self, trunk):
        images = tensorflow.keras.Input((SIDE, SIDE, 3))
        output = layers.Dense(CLASSES, activation="softmax")(trunk(images))
        self.model = tensorflow.keras.Model(images, output)
        self.model.compile("adam", "categorical_crossentropy")
        self.images = tensorflow.random.uniform((BATCH, SIDE, SIDE, 3))
        self.labels = tensorflow.one_hot(numpy.random.randint(0, CLASSES, BATCH), CLASSES)
        self.forward = tensorflow.function(lambda images: self.model(images, training=False))
        for _ in range(2):
            self.train()
            self.infer()

    def train(self):
        self.model.train_on_batch(self.images, self.labels)

    def infer(self):
        self.forward(self.images).numpy()


TRUNKS = {"resnet": resnet, "baseline-cnn": baseline_cnn}
benches = {}


def measure(line):
    name, what, runs = line.split()
    if name not in benches:
        benches[name] = Bench(TRUNKS[name])
    return images_per_second(getattr(benches[name], what), BATCH, int(runs))


if __name__ == "__main__":
    serve(measure, "TensorFlow " + tensorflow.__version__)
