"""identity+mse: δ = 2 (z − y)."""

from costlayer.pair import ClosedForm
from costlayer.words import fixed


def terms(z, y):
    error = z - y
    return error * error, 2.0 * error, fixed(2.0, z)


IDENTITY_MSE = ClosedForm(
    activation="identity",
    cost="mse",
    summary="Least squares: the score is the prediction and the gradient is twice the error.",
    formula="(z - y)**2",
    derivative="2*(z - y)",
    terms=terms,
    canonical=2.0,
    convex=True,
    steady=True,
    limits="Value and gradient grow without bound with the error.",
    reference="Gauss (1809), Theoria motus corporum coelestium",
)
