"""fenchel_young: what an activation that maximises p·z − Ω(p) is short of its maximum at the target."""

from costlayer.pair import UNIT, Cost

FENCHEL_YOUNG = Cost(
    name="fenchel_young",
    summary="The loss that belongs to an activation as cross entropy does to softmax: its gradient is v − y.",
    domain=UNIT,
    target=UNIT,
    formula="sum((v[j] - y[j])*z[j], j)",  # and Ω(y) − Ω(v), which the activation brings
    derivative="v[j] - y[j]",
    terms=None,
    natural="sparsemax+fenchel_young or entmax15+fenchel_young; of softmax it is softmax+kl",
    limits="Exactly 0 once the true class has all the probability.",
    reference="Blondel, Martins and Niculae (2020), Learning with Fenchel-Young losses",
    elicits_mean=True,
    rows_only=True,
)
