"""class_scores: a score for each class, as it is; the largest is the class."""

from costlayer.pair import REALS, Activation


def predict(z, v, gains, work):
    for j in range(z.shape[0]):
        v[j], gains[j] = z[j], 1.0


CLASS_SCORES = Activation(
    name="class_scores",
    summary="Each class has its score, and the largest says which it is: nothing is normalised.",
    range=REALS,
    formula="z[j]",
    gain="1",
    row=True,
    predict=predict,
    instead="class_scores+crammer_singer or class_scores+weston_watkins",
    limits="The gain is 1 at every score; scores are no probabilities.",
    reference="Crammer and Singer (2001), On the algorithmic implementation of multiclass kernel-based vector machines",
)
