"""The ids of `kernel.idempotency` are those of the standard library."""

from uuid import NAMESPACE_OID, UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from kernel.idempotency import NAMESPACE, charge_id, shipment_id, uuid_of

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(TEXTS, st.sampled_from([NAMESPACE, NAMESPACE_OID]))
def test_a_name_has_the_uuid_of_the_standard_library(name: str, namespace: UUID) -> None:
    assert uuid_of(name, namespace) == str(uuid5(namespace, name))


def test_the_keys_at_the_partners_stay_those_of_earlier_versions() -> None:
    """A charge that is retried after an upgrade must have its first key."""
    assert charge_id("A-1") == "936340c9-5f74-564f-8318-64bd7a9f157f"
    assert shipment_id("A-1") == "204824ba-ab9c-52e2-8cdb-5c31ad3ece2e"
