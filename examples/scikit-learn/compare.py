"""Fit a classifier to half of scikit-learn's digits, drawn by the seed, and measure it on the other half."""

import json
import sys
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

method, seed, out = sys.argv[1], int(sys.argv[2]) % 2**32, sys.argv[3]
methods = {"neighbours": KNeighborsClassifier(n_neighbors=3), "logistic": LogisticRegression(max_iter=200)}
images, labels = load_digits(return_X_y=True)
train, test, train_labels, test_labels = train_test_split(
    images / 16, labels, test_size=0.5, random_state=seed, stratify=labels
)
model = methods[method].fit(train, train_labels)
with Path(out).open("w") as file:
    json.dump({"test_accuracy": model.score(test, test_labels)}, file)
