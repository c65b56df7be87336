//! What augmented copies cannot be.

use super::{Mistake, in_file, in_set};

pub const MISTAKES: &[Mistake] = &[
    in_file(
        "a crop of nothing",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { area: [0, 1] }",
        "error: `preprocess.augment.random_resized_crop.area` is [0, 1]; it must be two parts of the original's area, above 0 and at most 1, the smaller first (FILE, line 10)",
    ),
    in_file(
        "a crop of more than there is",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { area: [0.5, 1.5] }",
        "error: `preprocess.augment.random_resized_crop.area` is [0.5, 1.5]; it must be two parts of the original's area, above 0 and at most 1, the smaller first (FILE, line 10)",
    ),
    in_file(
        "a crop's areas the wrong way round",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { area: [1.0, 0.5] }",
        "error: `preprocess.augment.random_resized_crop.area` is [1, 0.5]; it must be two parts of the original's area, above 0 and at most 1, the smaller first (FILE, line 10)",
    ),
    in_file(
        "a crop's area that is no number",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { area: [.nan, 1] }",
        "error: `preprocess.augment.random_resized_crop.area` is [NaN, 1]; it must be two parts of the original's area, above 0 and at most 1, the smaller first (FILE, line 10)",
    ),
    in_file(
        "one area for two",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { area: 0.5 }",
        "error: `preprocess.augment.random_resized_crop.area` is `0.5`; it must be a list of two numbers, as `[0.1, 0.2]` (FILE, line 10)",
    ),
    in_file(
        "a crop without a width",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { aspect: [0, 1] }",
        "error: `preprocess.augment.random_resized_crop.aspect` is [0, 1]; it must be two ratios of width to height from 0.01 to 100, the lower first (FILE, line 10)",
    ),
    in_file(
        "a crop's ratios the wrong way round",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { aspect: [1.5, 0.5] }",
        "error: `preprocess.augment.random_resized_crop.aspect` is [1.5, 0.5]; it must be two ratios of width to height from 0.01 to 100, the lower first (FILE, line 10)",
    ),
    in_file(
        "a crop's ratio beyond all pictures",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { aspect: [1, .inf] }",
        "error: `preprocess.augment.random_resized_crop.aspect` is [1, inf]; it must be two ratios of width to height from 0.01 to 100, the lower first (FILE, line 10)",
    ),
    in_file(
        "a key of another library's crop",
        "copies: 2",
        "copies: 2\n    random_resized_crop: { scale: [0.5, 1] }",
        "error: unknown key `preprocess.augment.random_resized_crop.scale` (FILE, line 10)\n  hint: the keys of `preprocess.augment.random_resized_crop` are `area`, `aspect`",
    ),
    in_file(
        "a contrast that inverts",
        "copies: 2",
        "copies: 2\n    color: { contrast: 1.5 }",
        "error: `preprocess.augment.color.contrast` is 1.5; it must be from 0 to 1 (FILE, line 10)",
    ),
    in_file(
        "a saturation below none",
        "copies: 2",
        "copies: 2\n    color: { saturation: -0.1 }",
        "error: `preprocess.augment.color.saturation` is -0.1; it must be from 0 to 1 (FILE, line 10)",
    ),
    in_file(
        "a hue in degrees",
        "copies: 2",
        "copies: 2\n    color: { hue: 20 }",
        "error: `preprocess.augment.color.hue` is 20; it must be from 0 to 0.5: it is a part of the colour circle, not degrees (FILE, line 10)",
    ),
    in_file(
        "brightness among the colours",
        "copies: 2",
        "copies: 2\n    color: { brightness: 0.2 }",
        "error: unknown key `preprocess.augment.color.brightness` (FILE, line 10)\n  hint: the keys of `preprocess.augment.color` are `contrast`, `saturation`, `hue`",
    ),
    in_file(
        "a number for colours",
        "copies: 2",
        "copies: 2\n    color: 0.2",
        "error: `preprocess.augment.color` is `0.2`; it must be a section: `key: value` on lines of their own, indented (FILE, line 10)",
    ),
    in_file(
        "a probability above one",
        "copies: 2",
        "copies: 2\n    grayscale: 1.5",
        "error: `preprocess.augment.grayscale` is 1.5; it must be a probability, from 0 to 1 (FILE, line 10)",
    ),
    in_file(
        "a probability below zero",
        "copies: 2",
        "copies: 2\n    grayscale: -0.1",
        "error: `preprocess.augment.grayscale` is -0.1; it must be a probability, from 0 to 1 (FILE, line 10)",
    ),
    in_file(
        "a blur in percent",
        "copies: 2",
        "copies: 2\n    blur: { probability: 10 }",
        "error: `preprocess.augment.blur.probability` is 10; it must be a probability, from 0 to 1 (FILE, line 10)",
    ),
    in_file(
        "a blur without a probability",
        "copies: 2",
        "copies: 2\n    blur: { sigma: [0.1, 2.0] }",
        "error: `preprocess.augment.blur.probability` is missing (FILE, line 10)\n  hint: add `probability: …` to `preprocess.augment.blur`: it has no default",
    ),
    in_file(
        "a blur by nothing",
        "copies: 2",
        "copies: 2\n    blur: { probability: 0.1, sigma: [0, 2] }",
        "error: `preprocess.augment.blur.sigma` is [0, 2]; it must be two numbers of pixels above 0 and at most 100, the lower first (FILE, line 10)",
    ),
    in_file(
        "a blur of everything",
        "copies: 2",
        "copies: 2\n    blur: { probability: 0.1, sigma: [1, 1000] }",
        "error: `preprocess.augment.blur.sigma` is [1, 1000]; it must be two numbers of pixels above 0 and at most 100, the lower first (FILE, line 10)",
    ),
    in_file(
        "no ops",
        "copies: 2",
        "copies: 2\n    rand_augment: { ops: 0 }",
        "error: `preprocess.augment.rand_augment.ops` is 0; it must be from 1 to 20 (FILE, line 10)",
    ),
    in_file(
        "a magnitude beyond the scale",
        "copies: 2",
        "copies: 2\n    rand_augment: { magnitude: 31 }",
        "error: `preprocess.augment.rand_augment.magnitude` is 31; it must be from 0 to 30 (FILE, line 10)",
    ),
    in_file(
        "a negative magnitude",
        "copies: 2",
        "copies: 2\n    rand_augment: { magnitude: -1 }",
        "error: `preprocess.augment.rand_augment.magnitude` is `-1`; it must be a whole number from 0 to 30 (FILE, line 10)",
    ),
    in_file(
        "another library's name for the ops",
        "copies: 2",
        "copies: 2\n    rand_augment: { num_ops: 2 }",
        "error: unknown key `preprocess.augment.rand_augment.num_ops` (FILE, line 10)\n  hint: the keys of `preprocess.augment.rand_augment` are `ops`, `magnitude`",
    ),
    in_file(
        "a magnitude where there is none",
        "copies: 2",
        "copies: 2\n    trivial_augment: 9",
        "error: `preprocess.augment.trivial_augment` is `9`; it must be `true` or `false` (FILE, line 10)",
    ),
    in_set(
        "parts of originals that training does not have",
        &["preprocess.augment.copies=fly", "preprocess.augment.random_resized_crop={}"],
        "error: `preprocess.augment.random_resized_crop` contradicts `preprocess.augment.copies: fly`: crops are taken from the originals' pixels, which training does not have (given with --set preprocess.augment.random_resized_crop={})\n  hint: set `copies` to a number, or use `zoom` and `shift` instead of crops",
    ),
    in_file(
        "two policies",
        "copies: 2",
        "copies: 2\n    rand_augment: { ops: 2 }\n    trivial_augment: true",
        "error: `preprocess.augment.trivial_augment` contradicts `preprocess.augment.rand_augment`: a copy follows one of them (FILE, line 11)\n  hint: remove one of the two; `trivial_augment` has nothing to tune",
    ),
    in_set(
        "two policies, one of them given with --set",
        &["preprocess.augment.rand_augment={}", "preprocess.augment.trivial_augment=true"],
        "error: `preprocess.augment.trivial_augment` contradicts `preprocess.augment.rand_augment`: a copy follows one of them (given with --set preprocess.augment.trivial_augment=true)\n  hint: remove one of the two; `trivial_augment` has nothing to tune",
    ),
];
