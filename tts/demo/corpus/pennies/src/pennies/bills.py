"""What is on a bill: prices, a discount, and tax."""


def percent(cents, rate):
    """Return `rate` percent of the sum in cents; half a cent is rounded up."""
    return (cents * rate + 50) // 100


def invoice(lines, discount_rate=0, tax_rate=0):
    """Return what is to pay before tax, the tax, and what is to pay in all, in cents.

    `lines` are pairs of a count and a price.  The discount is taken off first, and tax is due on what
    remains.  Both rates are percentages.
    """
    subtotal = sum(count * price for count, price in lines)
    net = subtotal - percent(subtotal, discount_rate)
    tax = percent(net, tax_rate)
    return net, tax, net + tax
