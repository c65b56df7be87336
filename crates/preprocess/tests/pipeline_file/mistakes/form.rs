//! Keys that are not there, and values of another kind.

use super::{Mistake, in_file};

pub const MISTAKES: &[Mistake] = &[
    in_file(
        "a misspelt key",
        "epochs: 40",
        "epohs: 40",
        "error: unknown key `train.models.resnet.epohs` (FILE, line 17)\n  hint: did you mean `epochs`? the keys of `train.models.resnet` are `architecture`, `pretrained`, `tune`, `backbone_rate`, `layer_decay`, `augmented`, `copies`, `epochs`, `early_stopping`, `optimizer`, `momentum`, `learning_rate`, `schedule`, `restarts`, `warmup_epochs`, `weight_decay`, `label_smoothing`, `clip_norm`, `class_weights`, `sampler`, `logit_adjustment`, `mixup`, `cutmix`, `random_erasing`, `test_flip`, `ema_decay`",
    ),
    in_file(
        "a key in the wrong section",
        "epochs: 40",
        "batch_size: 40",
        "error: unknown key `train.models.resnet.batch_size` (FILE, line 17)\n  hint: the keys of `train.models.resnet` are `architecture`, `pretrained`, `tune`, `backbone_rate`, `layer_decay`, `augmented`, `copies`, `epochs`, `early_stopping`, `optimizer`, `momentum`, `learning_rate`, `schedule`, `restarts`, `warmup_epochs`, `weight_decay`, `label_smoothing`, `clip_norm`, `class_weights`, `sampler`, `logit_adjustment`, `mixup`, `cutmix`, `random_erasing`, `test_flip`, `ema_decay`",
    ),
    in_file(
        "a misspelt section",
        "report:",
        "reports:",
        "error: unknown key `reports` (FILE, line 18)\n  hint: did you mean `report`? the file's sections and keys are `name`, `output`, `preprocess`, `train`, `report`",
    ),
    in_file(
        "a misspelt key of a section on one line",
        "height: 48",
        "hieght: 48",
        "error: unknown key `preprocess.image.hieght` (FILE, line 4)\n  hint: did you mean `height`? the keys of `preprocess.image` are `width`, `height`, `fit`, `crop_fraction`, `filter`",
    ),
    in_file(
        "a part of the key's name",
        "copies: 2",
        "flip: true",
        "error: unknown key `preprocess.augment.flip` (FILE, line 9)\n  hint: did you mean `horizontal_flip`? the keys of `preprocess.augment` are `copies`, `rotation`, `shift`, `shear`, `zoom`, `brightness`, `horizontal_flip`, `fill`, `random_resized_crop`, `rand_augment`, `trivial_augment`, `color`, `grayscale`, `blur`",
    ),
    in_file(
        "text for a number",
        "epochs: 40",
        "epochs: forty",
        "error: `train.models.resnet.epochs` is the text `forty`; it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a fraction for a count",
        "epochs: 40",
        "epochs: 4.5",
        "error: `train.models.resnet.epochs` is `4.5`; it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a negative count",
        "epochs: 40",
        "epochs: -1",
        "error: `train.models.resnet.epochs` is `-1`; it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "text for a switch",
        "augmented: true",
        "augmented: yes please",
        "error: `train.models.resnet.augmented` is the text `yes please`; it must be `true` or `false` (FILE, line 16)",
    ),
    in_file(
        "a number for a name",
        "name: pets",
        "name: 2024",
        "error: `name` is `2024`; it must be text (FILE, line 1)\n  hint: put it in quotes: `\"2024\"`",
    ),
    in_file(
        "one number for two",
        "shift: [0.1, 0.2]",
        "shift: 0.1",
        "error: `preprocess.augment.shift` is `0.1`; it must be a list of two numbers, as `[0.1, 0.2]` (FILE, line 10)",
    ),
    in_file(
        "three numbers for two",
        "shift: [0.1, 0.2]",
        "shift: [0.1, 0.2, 0.3]",
        "error: `preprocess.augment.shift` is a list of 3; it must be a list of two numbers, as `[0.1, 0.2]` (FILE, line 10)",
    ),
    in_file(
        "text in a list",
        "shift: [0.1, 0.2]",
        "shift: [0.1, much]",
        "error: `preprocess.augment.shift[1]` is the text `much`; it must be a number (FILE, line 10)",
    ),
    in_file(
        "a list for a section",
        "{ width: 64, height: 48 }",
        "[64, 48]",
        "error: `preprocess.image` is a list; it must be a section: `key: value` on lines of their own, indented (FILE, line 4)",
    ),
    in_file(
        "a value for a section",
        "{ baseline: baselines/pets.json }",
        "baselines/pets.json",
        "error: `report.gate` is the text `baselines/pets.json`; it must be a section: `key: value` on lines of their own, indented (FILE, line 19)",
    ),
    in_file(
        "a key without a value",
        "epochs: 40",
        "epochs:",
        "error: `train.models.resnet.epochs` has no value; it must be a whole number from 1 to 1000000 (FILE, line 17)\n  hint: leave the key out for its default",
    ),
    in_file(
        "a misspelt choice",
        "height: 48",
        "height: 48, fit: strech",
        "error: `preprocess.image.fit` cannot be `strech` (FILE, line 4)\n  hint: did you mean `stretch`? the values are `stretch`, `crop`, `pad`",
    ),
    in_file(
        "a number for a choice",
        "height: 48",
        "height: 48, filter: 3",
        "error: `preprocess.image.filter` cannot be `3` (FILE, line 4)\n  hint: the values are `nearest`, `bilinear`, `bicubic`, `lanczos`",
    ),
    in_file(
        "an architecture nobody knows",
        "architecture: resnet",
        "architecture: transformer",
        "error: `train.models.resnet.architecture` cannot be `transformer` (FILE, line 15)\n  hint: the values are `baseline-cnn`, `resnet`, `resnet18`, `resnet34`, `resnet50`, `efficientnet-lite0`, `mobilenetv4-conv-small`",
    ),
    in_file(
        "a missing key at the top",
        "name: pets\n",
        "",
        "error: `name` is missing (FILE)\n  hint: add `name: …`: it has no default",
    ),
    in_file(
        "a missing key in a section",
        "source: data/pets",
        "unreadable: skip",
        "error: `preprocess.source` is missing (FILE, line 2)\n  hint: add `source: …` to `preprocess`: it has no default",
    ),
    in_file(
        "a missing key of a model",
        "architecture: resnet\n      ",
        "",
        "error: `train.models.resnet.architecture` is missing (FILE, line 14)\n  hint: add `architecture: …` to `train.models.resnet`: it has no default",
    ),
    in_file(
        "a key that is not text",
        "    resnet:\n",
        "    1:\n",
        "error: the key `train.models.1` is not text (FILE, line 14)\n  hint: put it in quotes: `\"1\"`",
    ),
    in_file(
        "the same key twice",
        "epochs: 40",
        "epochs: 40\n      epochs: 50",
        "error: `train.models.resnet.epochs` is given twice, on lines 17 and 18 (FILE, line 17)\n  hint: keep one of the two",
    ),
    in_file(
        "a tag",
        "epochs: 40",
        "epochs: !many 40",
        "error: `train.models.resnet.epochs` is a value with a tag (`!…`); it must be a whole number from 1 to 1000000 (FILE, line 17)",
    ),
    in_file(
        "a merge of nothing",
        "epochs: 40",
        "<<: 40",
        "error: `train.models.resnet.<<` must be an alias to a section, or a list of such (FILE, line 14)\n  hint: mark a section with `&name`, and merge it with `<<: *name`",
    ),
];
