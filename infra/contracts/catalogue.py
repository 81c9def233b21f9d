"""The catalogue of the sample shop: the products of the examples and of generated orders."""

from typing import NamedTuple


class Product(NamedTuple):
    """A product; ``unit_price_minor`` is in hundredths."""

    sku: str
    name: str
    unit_price_minor: int


CATALOGUE: tuple[Product, ...] = (
    Product("TEA-GREEN-100", "Green tea, 100 g", 12_50),
    Product("TEA-BLACK-250", "Black tea, 250 g", 18_90),
    Product("TEA-CHAI-050", "Spiced tea, 50 g", 7_95),
    Product("COFFEE-HOUSE-500", "House coffee, 500 g", 14_25),
    Product("MUG-BLUE-01", "Mug, blue", 9_90),
    Product("MUG-WHITE-01", "Mug, white", 9_90),
    Product("TIN-GIFT-03", "Gift tin, three teas", 24_99),
    Product("TEAPOT-GLASS-08", "Teapot, glass, 0.8 l", 34_50),
    Product("KETTLE-COPPER-12", "Kettle, copper, 1.2 l", 125_00),
    Product("TEASET-PORCELAIN-06", "Tea set, porcelain, for six", 250_00),
    Product("VASE-LIMITED", "Vase, limited edition", 249_00),
    Product("ESPRESSO-MACHINE-02", "Espresso machine, two cups", 999_99),
)

SOLD_OUT = "VASE-LIMITED"
"""The product that is out of stock: an order of it waits."""

ON_HAND = 100_000
"""Units in stock of every other product."""


def stock_file() -> str:
    """Return a stock file (CSV) of all products."""
    lines = [f"{product.sku},{0 if product.sku == SOLD_OUT else ON_HAND}" for product in CATALOGUE]
    return "\n".join(["sku,on_hand", *lines, ""])
