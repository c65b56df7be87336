"""Training steps and inference in PyTorch: `torch_networks.py contiguous|channels-last`.

A step is forward, loss, backward and Adam on a batch that is in memory already. The networks are those of the interoperability tests.
"""

import sys
from pathlib import Path

from serve import BATCH, CLASSES, SIDE, THREADS, images_per_second, importing, serve


def load():
    sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "tests" / "interop"))
    import pytorch_twin
    import torch

    return torch, pytorch_twin


torch, pytorch_twin = importing(load)
torch.set_num_threads(THREADS)
FORMAT = torch.channels_last if sys.argv[1] == "channels-last" else torch.contiguous_format
FEATURES = {"resnet": 57600, "baseline-cnn": 25088}


class Bench:
    def __init__(self, name):
        torch.manual_seed(1)
        self.model = pytorch_twin.TWINS[name][0](CLASSES, FEATURES[name]).to(memory_format=FORMAT)
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.images = torch.rand(BATCH, 3, SIDE, SIDE).contiguous(memory_format=FORMAT)
        self.labels = torch.randint(0, CLASSES, (BATCH,))
        for _ in range(2):
            self.train()
            self.infer()

    def train(self):
        self.model.train()
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(self.images), self.labels).backward()
        self.optimizer.step()

    def infer(self):
        self.model.eval()
        with torch.inference_mode():
            self.model(self.images)


benches = {}


def measure(line):
    name, what, runs = line.split()
    if name not in benches:
        benches[name] = Bench(name)
    return images_per_second(getattr(benches[name], what), BATCH, int(runs))


if __name__ == "__main__":
    serve(measure, "PyTorch " + torch.__version__)
