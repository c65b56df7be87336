"""Training steps and inference in PyTorch: `torch_networks.py contiguous|channels-last [cuda fp32|tf32]`.

A step is forward, loss, backward and Adam on a batch that is in memory already, on the GPU's with `cuda`. The networks are those of the
interoperability tests, or timm's by name. Answers `NETWORK train|infer RUNS [IMAGES [SIDE]]`.
"""

import sys
from pathlib import Path

from serve import BATCH, CLASSES, SIDE, THREADS, images_per_second, importing, serve, unusable


def load():
    sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "tests" / "interop"))
    import pytorch_twin
    import torch

    return torch, pytorch_twin


torch, pytorch_twin = importing(load)
torch.set_num_threads(THREADS)
FORMAT = torch.channels_last if sys.argv[1] == "channels-last" else torch.contiguous_format
DEVICE = sys.argv[2] if len(sys.argv) > 2 else "cpu"
FEATURES = {"resnet": 57600, "baseline-cnn": 25088}


def use_gpu(precision):
    if not torch.cuda.is_available():
        unusable(f"PyTorch {torch.__version__} finds no GPU" + ("" if torch.version.cuda else ": it was built without CUDA"))
    # Of the convolution's algorithms that cuDNN has, the fastest for these shapes.
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    cudnn = torch.backends.cudnn.version()
    return f", CUDA {torch.version.cuda}, cuDNN {cudnn}, {precision}, {torch.cuda.get_device_name()}"


def network(name):
    if name in pytorch_twin.TWINS:
        return pytorch_twin.TWINS[name][0](CLASSES, FEATURES[name])
    import timm

    return timm.create_model(name, num_classes=CLASSES)


class Bench:
    def __init__(self, name, batch, side):
        torch.manual_seed(1)
        self.model = network(name).to(DEVICE, memory_format=FORMAT)
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.images = torch.rand(batch, 3, side, side).to(DEVICE).contiguous(memory_format=FORMAT)
        self.labels = torch.randint(0, CLASSES, (batch,)).to(DEVICE)
        # On a GPU, some more: cuDNN tries its algorithms, memory is fetched.
        for _ in range(2 if DEVICE == "cpu" else 10):
            self.train()
            self.infer()
        self.wait()

    def train(self):
        self.model.train()
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(self.images), self.labels).backward()
        self.optimizer.step()

    def infer(self):
        self.model.eval()
        with torch.inference_mode():
            self.model(self.images)

    @staticmethod
    def wait():
        if DEVICE != "cpu":
            torch.cuda.synchronize()


benches = {}


def measure(line):
    name, what, runs, *sizes = line.split()
    batch, side = [int(size) for size in sizes] + [BATCH, SIDE][len(sizes) :]
    key = name, batch, side
    if key not in benches:
        benches.clear()
        benches[key] = Bench(*key)
    return images_per_second(getattr(benches[key], what), key[1], int(runs), benches[key].wait)


if __name__ == "__main__":
    serve(measure, "PyTorch " + torch.__version__ + (use_gpu(sys.argv[3]) if DEVICE != "cpu" else ""))
