from sharebill import Expense, balances, settle


def test_balances_add_up_to_zero():
    trip = [Expense("ann", 1000, ("ann", "bob", "cy")), Expense("bob", 501, ("ann", "bob"))]
    assert sum(balances(trip).values()) == 0


def test_no_expenses():
    assert balances([]) == {}


def test_settle_two():
    assert settle({"ann": 500, "bob": -500}) == [("bob", "ann", 500)]


def test_settle_largest_first():
    net = {"ann": 700, "bob": -200, "cy": -500}
    assert settle(net) == [("cy", "ann", 500), ("bob", "ann", 200)]


def test_settled_already():
    assert settle({"ann": 0, "bob": 0}) == []
