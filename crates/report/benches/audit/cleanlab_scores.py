"""cleanlab's two rankings of the rows `changed,label,probability…` of a file: the average precision of each, and the
part of the first 50 that was changed."""

import sys

import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

rows = np.loadtxt(sys.argv[1], delimiter=",")
changed, labels, probabilities = rows[:, 0] == 1, rows[:, 1].astype(int), rows[:, 2:]
probabilities /= probabilities.sum(axis=1, keepdims=True)
for method in ("self_confidence", "normalized_margin"):
    quality = get_label_quality_scores(labels, probabilities, method=method)
    worst = np.argsort(quality, kind="stable")[:50]
    print(average_precision_score(changed, -quality), changed[worst].mean())
