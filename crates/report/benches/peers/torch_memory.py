"""A PyTorch process whose peak of memory is looked at from outside: `torch_memory.py resnet|baseline-cnn|import DIRECTORY STEPS
[cuda IMAGES]`.

Trains for some steps from class directories through torchvision's ImageFolder, the images decoded in the same process, as a script of
the kind is written; with `import` it only loads the libraries. With `cuda` it trains on the GPU, TF32 allowed.
"""

import sys
from pathlib import Path

from serve import BATCH, SIDE, THREADS, importing


def load():
    sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "tests" / "interop"))
    import pytorch_twin
    import torch
    import torchvision
    import torchvision.transforms.v2

    return torch, torchvision, pytorch_twin


torch, torchvision, pytorch_twin = importing(load)
FEATURES = {"resnet": 57600, "baseline-cnn": 25088}


def main(name, directory, steps, device="cpu", batch_size=BATCH):
    torch.set_num_threads(THREADS)
    if name == "import":
        print("ready PyTorch", torch.__version__)
        return
    if device != "cpu":
        torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    v2 = torchvision.transforms.v2
    transform = v2.Compose([v2.ToImage(), v2.Resize((SIDE, SIDE)), v2.ToDtype(torch.float32, scale=True)])
    images = torchvision.datasets.ImageFolder(directory, transform)
    loader = torch.utils.data.DataLoader(images, int(batch_size), shuffle=True, drop_last=True)
    model = pytorch_twin.TWINS[name][0](len(images.classes), FEATURES[name]).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    done = 0
    while done < int(steps):
        for batch, labels in loader:
            batch, labels = batch.to(device, memory_format=torch.channels_last), labels.to(device)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch), labels).backward()
            optimizer.step()
            done += 1
            if done == int(steps):
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
