"""The caller of the HTTP API: one customer, or an operator.

Source: API Gateway Developer Guide, "Control access to HTTP APIs with JWT authorizers": the scopes
are in ``scope`` or ``scp``, and each claim reaches the function as text; a list is ``[a b]``.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from kernel.errors import NotPermitted, OrderNotFound
from kernel.order_record import OrderRecord

OPERATE = "orders/operate"
"""The scope of a caller that may reach the orders of every customer."""

_SEPARATORS = re.compile(r"[\s,\[\]]+")


class Caller(NamedTuple):
    """The caller of a request; ``customer_id`` is None for an operator.

    ``subject`` is the subject of the access token; it is empty for the local user.
    """

    subject: str
    customer_id: str | None

    def require_customer(self, customer_id: str) -> None:
        """Raise `NotPermitted` if the caller is another customer."""
        if self.customer_id not in (None, customer_id):
            raise NotPermitted(
                f"the token is of customer {self.customer_id}; send that customer, or use a token"
                f" with the scope {OPERATE}",
                "customer_id",
            )

    def require_choice_of_id(self) -> None:
        """Raise `NotPermitted` if the caller is a customer, whose orders get an id from the API.

        The answer to an id that is taken would reveal another customer's order, and a customer
        could take an id that the shop is going to use.
        """
        if self.customer_id is not None:
            raise NotPermitted(
                "a customer's order gets its id from the API; omit it and send an Idempotency-Key,"
                f" which makes a retry safe, or use a token with the scope {OPERATE}",
                "order_id",
            )

    def require_operator(self) -> None:
        """Raise `NotPermitted` if the caller is a customer."""
        if self.customer_id is not None:
            raise NotPermitted(
                f"a customer does not decide about orders; use a token with the scope {OPERATE}"
            )

    def require_own(self, record: OrderRecord) -> OrderRecord:
        """Return an order that the caller may reach.

        Raises
        ------
        OrderNotFound
            The order is of another customer; the message is that of an order that does not exist.
        """
        if self.customer_id not in (None, record.customer_id):
            raise OrderNotFound(f"no order has the id {record.order_id!r}")
        return record


def caller_of(context: Mapping[str, Any], claim: str) -> Caller:
    """Return the caller of a request.

    Parameters
    ----------
    context : Mapping[str, Any]
        The request context of API Gateway's event.
    claim : str
        The claim of an access token that has the customer's id.

    Raises
    ------
    NotPermitted
        The request has no token, or its token has neither the claim nor the operator's scope.
    """
    claims = ((context.get("authorizer") or {}).get("jwt") or {}).get("claims")
    if not isinstance(claims, Mapping):
        raise NotPermitted("the request has no access token; call the API through its gateway")
    subject = str(claims.get("sub") or claims.get("client_id") or "")
    if OPERATE in _scopes(claims):
        return Caller(subject, None)
    customer_id = claims.get(claim)
    if not customer_id:
        raise NotPermitted(
            f"the token has neither the claim {claim}, a customer's id, nor the scope {OPERATE};"
            " get a token with one of them from its issuer"
        )
    return Caller(subject, str(customer_id))


def _scopes(claims: Mapping[str, Any]) -> set[str]:
    return {
        scope for name in ("scope", "scp") for scope in _SEPARATORS.split(str(claims.get(name, "")))
    }
