"""What was proven of a run's applications, as JSON values."""

from convgraph.compiler.proof import Proof


def proof_summary(proof: Proof) -> dict[str, object]:
    """How many applications there were and were proven, and each of the others with the reason."""
    return {
        "applications": proof.applications,
        "proven": proof.proven,
        "not_proven": [
            {"index": one.index, "rewrite": one.rewrite, "at": one.at, "reason": one.reason}
            for one in proof.not_proven
        ],
    }
