"""What does an operator read about a finding? A client's sentence says no more than that the client cannot cancel."""

from countermand.domain.cancelling.rules import FactName, Finding


def sentence_for_operator(finding: Finding) -> str:
    """Return a finding's sentence, which says of a recorded payment what an operator can do.

    The policy's own sentence is that of the shop's channel: refunds are not supported there.
    """
    if finding.passed or finding.fact is not FactName.FIRST_PAYMENT_AT:
        return finding.sentence
    return (
        f"a payment was recorded on {finding.value}; for an order that can be cancelled otherwise, override "
        f"{finding.code}, and what was paid becomes due"
    )
