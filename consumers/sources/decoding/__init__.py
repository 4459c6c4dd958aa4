"""Decoding: bytes of one protocol become agent events, every operation accounted for. Pure: no clock, no I/O.

A decoder never raises. It adds to a `Delivery` in place, so that one delivery holds hundreds of frames.
"""
