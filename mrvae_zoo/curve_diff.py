"""Comparing two rate-distortion curves, β by β. Needs no torch."""

from dataclasses import dataclass

from mrvae_zoo.rd_curve import RDCurve, RDPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two curves at one β.

    Attributes:
        a: the point of the first, interpolated where it was not measured there, as the next.
        b: the point of the second.
        interpolated: which of the two are: of "ab".
    """

    a: RDPoint
    b: RDPoint
    interpolated: str

    @property
    def loss_change(self) -> float | None:
        """(L_β of the second − L_β of the first) / L_β of the first, negative where the second is better."""
        return (self.b.loss - self.a.loss) / abs(self.a.loss) if self.a.loss else None


def compare_curves(a: RDCurve, b: RDCurve) -> list[Difference]:
    """The curves at every β that either was measured at and both reach, rising.

    Raises:
        ValueError: there is none.
    """
    low, high = max(a.betas[0], b.betas[0]), min(a.betas[-1], b.betas[-1])
    betas = sorted(beta for beta in {*a.betas, *b.betas} if low <= beta <= high)
    if not betas:
        spans = " and ".join(f"[{curve.betas[0]:g}, {curve.betas[-1]:g}]" for curve in (a, b))
        raise ValueError(f"the curves have no β in common: they were measured over {spans}")
    return [
        Difference(
            a=a.at(beta),
            b=b.at(beta),
            interpolated="".join(name for name, curve in (("a", a), ("b", b)) if beta not in curve.betas),
        )
        for beta in betas
    ]
