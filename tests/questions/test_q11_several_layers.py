"""Question 11: the cosine averaged over layers 1 to 4, at one epoch and at the last."""

from __future__ import annotations

import numpy as np
import pytest

from tests.questions.asked import Answer, ask


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q11_several_layers", tmp_path_factory)


def test_every_estimand_is_what_numpy_makes_of_the_results(answer: Answer) -> None:
    series = [replica["metrics"]["credit_cosine"] for replica in answer.results["replicas"]]
    epochs = np.array(series[0]["epochs"])
    layers = np.array([one["values"]["mean"] for one in series])[:, :, 1:5]  # [seed, epoch, layer]
    curve = layers.mean(2)
    losses, correct, validated = (
        np.array([one["metrics"][name]["values"]["value"] for one in answer.results["replicas"]])[..., 0]
        for name in ("train_loss", "test_accuracy", "validation_accuracy")
    )
    expected = {
        "early": curve[:, list(epochs).index(4)],
        "late": curve[:, -1],
        "worst_layer": layers[:, -1].min(1),
        "depth": np.polyfit([1, 2, 3, 4], layers[:, -1].T, 1)[0],
        "both": (curve[:, list(epochs).index(4)] + curve[:, -1]) / 2,
        "whole": np.trapezoid(curve, epochs, axis=1) / (epochs[-1] - epochs[0]),
        "decline": curve.max(1) - curve[:, -1],
        "at_best": 100 * correct[np.arange(len(correct)), validated.argmax(1)],
        "at_lowest": 100 * correct[np.arange(len(correct)), losses.argmin(1)],
    }
    for name, values in expected.items():
        assert answer.values(name) == pytest.approx(values.tolist()), name
    assert epochs.tolist() == [1, 2, 4, 6, 8]


def test_the_page_says_what_was_read(answer: Answer) -> None:
    assert "mean over layers 1 to 4, epoch 4, mean over samples" in answer.page
    assert "slope over layers 1 to 4" in answer.page
    assert "epoch of the best validation\\_accuracy" in answer.page


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q11-several-layers")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
