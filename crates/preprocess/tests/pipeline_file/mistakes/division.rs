//! Which images there are, and how they are divided.

use super::{Mistake, in_file};

pub const MISTAKES: &[Mistake] = &[
    in_file(
        "corrections that are in no file",
        "source: data/pets",
        "source: data/pets\n  corrections: ''",
        "error: `preprocess.corrections` is empty; it must be the path of a file or directory (FILE, line 4)",
    ),
    in_file(
        "corrections in the pipeline file itself",
        "source: data/pets",
        "source: data/pets\n  corrections: { cat/1.png: drop }",
        "error: `preprocess.corrections` is a section; it must be text (FILE, line 4)",
    ),
    in_file(
        "nothing left to fit to",
        "validation: 0.2",
        "folds: 1",
        "error: `preprocess.split.folds` is 1; it must be from 2 to 20 (FILE, line 6)",
    ),
    in_file(
        "folds of hardly an image",
        "validation: 0.2",
        "folds: 21",
        "error: `preprocess.split.folds` is 21; it must be from 2 to 20 (FILE, line 6)",
    ),
    in_file(
        "half a fold",
        "validation: 0.2",
        "folds: 2.5",
        "error: `preprocess.split.folds` is `2.5`; it must be a whole number from 2 to 20 (FILE, line 6)",
    ),
];
