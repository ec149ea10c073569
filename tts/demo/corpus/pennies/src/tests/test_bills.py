from pennies import invoice, percent


def test_percent():
    assert percent(1000, 20) == 200
    assert percent(50, 5) == 3
    assert percent(49, 5) == 2


def test_a_bill_without_extras():
    assert invoice([(2, 150), (1, 99)]) == (399, 0, 399)


def test_a_bill_with_tax():
    assert invoice([(1, 1000)], tax_rate=20) == (1000, 200, 1200)


def test_a_discount_lowers_the_price():
    assert invoice([(1, 1000)], discount_rate=10)[0] == 900
