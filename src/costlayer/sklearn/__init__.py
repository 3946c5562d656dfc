"""The scikit-learn front: networks that end in a pair, as estimators.

>>> from sklearn.datasets import load_iris
>>> from costlayer.sklearn import CostLayerClassifier
>>> x, y = load_iris(return_X_y=True)
>>> network = CostLayerClassifier(random_state=0).fit(x, y)
>>> network.pair_, bool(network.score(x, y) > 0.9)
(pair('softmax+cross_entropy'), True)
"""

from costlayer.errors import MissingExtra

try:
    from costlayer.sklearn.estimators import CostLayerClassifier as CostLayerClassifier
    from costlayer.sklearn.estimators import CostLayerRegressor as CostLayerRegressor
except ModuleNotFoundError as error:
    if (error.name or "").startswith("costlayer"):
        raise
    raise MissingExtra(error.name or "sklearn", "sklearn") from error
