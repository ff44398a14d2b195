"""The index as a library: no broker, no wire, no process of its own.

event -> decode -> mask -> encode -> quantize -> append -> compact -> search

Each word is a module here (compact comes next: until then every shard stays fresh); `store/` holds
everything that touches disk, `kernel/` the native code.
"""
