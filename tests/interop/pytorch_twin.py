"""Loads a model's directory into its PyTorch twin and prints the logits of images of the model's size.

    python pytorch_twin.py runs/fashion-mnist/models/resnet image.png...        # torch, safetensors, pillow, numpy

The names and shapes of the weights are PyTorch's, so `load_state_dict` takes them as they are. Images must already have the
model's width and height: resizing is another program's and would differ in the last bits.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn


class Unit(nn.Module):
    def __init__(self, channels, filters=None):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv2 = nn.Conv2d(channels, filters or channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, filters, 1) if filters else nn.Identity()

    def forward(self, x):
        branch = self.conv1(F.relu(self.bn1(x)))
        return self.shortcut(x) + self.conv2(F.relu(self.bn2(branch)))


class Resnet(nn.Module):
    def __init__(self, classes, features):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 7, 2)
        self.unit1 = Unit(32)
        self.conv2 = nn.Conv2d(32, 32, 3, 2)
        self.unit2 = Unit(32, 64)
        self.dense = nn.Linear(features, classes)

    def forward(self, x):
        return self.dense(self.unit2(self.conv2(self.unit1(self.conv1(x)))).flatten(1))


class BaselineCnn(nn.Module):
    def __init__(self, classes, features):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 128, 3)
        self.conv5 = nn.Conv2d(128, 128, 3)
        self.dense1 = nn.Linear(features, 128)
        self.dense2 = nn.Linear(128, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv3(F.relu(self.conv2(x)))), 2)
        x = F.max_pool2d(F.relu(self.conv5(F.relu(self.conv4(x)))), 2)
        x = F.relu(self.dense1(x.flatten(1)))
        return self.dense2(F.dropout(x, 0.5, self.training))


TWINS = {"resnet": (Resnet, "dense.weight"), "baseline-cnn": (BaselineCnn, "dense1.weight")}


def main(directory, *files):
    directory = Path(directory)
    config = json.loads((directory / "config.json").read_text())
    weights = load_file(directory / "model.safetensors")
    twin, first_dense = TWINS[config["architecture"]]
    model = twin(config["num_classes"], weights[first_dense].shape[1])
    missing, unexpected = model.load_state_dict(weights, strict=False)
    problems = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if problems:
        sys.exit(f"{directory}: names that do not match: {problems}")
    model.eval()
    size = (config["image"]["width"], config["image"]["height"])
    for file in files:
        image = Image.open(file).convert("RGB")
        if image.size != size:
            sys.exit(f"{file} is {image.size}, the model takes {size}")
        pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255).permute(2, 0, 1)
        with torch.no_grad():
            logits = model(pixels[None])[0]
        best = config["label_names"][int(logits.argmax())]
        print(file, best, " ".join(f"{value:.6f}" for value in logits), sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
