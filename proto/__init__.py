"""The wire contract: what clients and the daemon say to each other.

The `.proto` files under `v1/` are the contract; the modules beside them are generated from them
by `generate.py` and committed, so that installing needs no protocol compiler.
"""
