"""softmax+mae: of a class label, by the margin d as in softmax+cross_entropy."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import mae

SOFTMAX_MAE = ClosedForm(
    activation="softmax",
    cost="mae",
    margin=mae,
    starves=True,
    limits="Of a class label the value is 2 (1 − p) of the true class, at most 2: a wrong label does little harm. |δ| "
    "is at most 1/2, and dies where a wrong class is sure.",
    reference="Ghosh, Kumar and Sastry (2017), Robust loss functions under label noise for deep neural networks",
)
