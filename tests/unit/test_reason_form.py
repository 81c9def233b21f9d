"""The form of a reason: dead letters of one cause share it."""

import pytest

from infra.dead_letters.reason_form import MAX_FORM, form_of


@pytest.mark.parametrize(
    ("reason", "form"),
    [
        (
            "InvalidEvent: detail.items[3].quantity: 'x' is not a whole number",
            "InvalidEvent: detail.items[].quantity: … is not a whole number",
        ),
        (
            "PaymentGatewayError: order A-1001 after 3 attempts",
            "PaymentGatewayError: order … after … attempts",
        ),
        ("NO_PERMISSIONS: arn:aws:sqs:us-east-1:123456789012:Work: no", "NO_PERMISSIONS: …: no"),
        ("the order's mail to ada@example.com: refused", "the order's mail to …: refused"),
        ("don't guess, isn't it", "don't guess, isn't it"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_form_has_no_ids_numbers_or_quoted_values(reason: str, form: str) -> None:
    assert form_of(reason) == form


def test_reasons_of_different_causes_have_different_forms() -> None:
    reasons = ["PaymentDeclined: order A-1", "PaymentTimeout: order A-1", "detail.total: is wrong"]
    assert len({form_of(reason) for reason in reasons}) == len(reasons)


def test_a_form_is_short_however_long_the_reason_is() -> None:
    assert len(form_of("word " * 100_000)) == MAX_FORM


def test_hostile_text_takes_linear_time() -> None:
    for text in ("'" * 100_000, "a:" * 50_000, "[1" * 50_000, '"a' * 50_000):
        assert len(form_of(text)) <= MAX_FORM
