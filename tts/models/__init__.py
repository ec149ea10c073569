"""Chat models: one small protocol, two SDKs behind it, and what they share: limits, faults and prices."""
