"""How well the class of an image can be read from its latents: a linear probe, and nearest neighbours.

Letters: N examples of a part, Z latents.
"""

import warnings
from typing import Any

from torch import Tensor

from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score, as_figures, labels_of

FOLDS = 3  # of the cross-validation within the part to fit on
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # C of the logistic regression, the inverse of the regularisation
NEIGHBOURS = (1, 3, 10, 30)
ITERATIONS = 300


def linear_probe(fit: Part) -> Score:
    """Fit a logistic regression on standardised posterior means, with C chosen by cross-validation on the same part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    return _accuracy(_searched(probe, {"logisticregression__C": list(STRENGTHS)}, fit))


def knn(fit: Part) -> Score:
    """Classify by the nearest posterior means, with the number of neighbours chosen by cross-validation."""
    from sklearn.neighbors import KNeighborsClassifier

    fewest = len(fit) * (FOLDS - 1) // FOLDS
    numbers = [number for number in NEIGHBOURS if number <= fewest] or [1]
    return _accuracy(_searched(KNeighborsClassifier(), {"n_neighbors": numbers}, fit))


def _searched(classifier: Any, settings: dict[str, list[Any]], fit: Part) -> Any:
    """Return the classifier with the best of these settings, fitted on the whole part.

    Raises:
        ValueError: There are too few examples to cross-validate.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold

    labels = labels_of(fit)
    counts = labels.bincount()
    if len(fit) < 2 * FOLDS or int((counts > 0).sum()) < 2:
        raise ValueError(
            f"{len(fit)} labelled examples of {int((counts > 0).sum())} classes are too few to fit a probe on; take "
            "more of them (examples)"
        )
    kind = StratifiedKFold if int(counts[counts > 0].min()) >= FOLDS else KFold
    folds = kind(FOLDS, shuffle=True, random_state=fit.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a probe with next to no regularisation
        return GridSearchCV(classifier, settings, cv=folds).fit(fit.mean.numpy(), labels.numpy())


def _accuracy(classifier: Any) -> Score:
    def correct(part: Part) -> Tensor:
        """Whether each example is classified correctly: (N,), 0 or 1."""
        return as_figures(classifier.predict(part.mean.numpy()) == labels_of(part).numpy())

    return correct


LINEAR_PROBE = Metric(
    name="linear_probe",
    title="accuracy of a linear probe",
    prepare=linear_probe,
    fits=True,
    needs=("labels",),
    extra="sklearn",
)
KNN = Metric(
    name="knn", title="accuracy of nearest neighbours", prepare=knn, fits=True, needs=("labels",), extra="sklearn"
)
