"""The index as a library: no broker, no wire, no process of its own.

event -> decode -> mask -> encode -> quantize -> append -> compact -> search

Each word is a module here; `store/` holds everything that touches disk, `kernel/` the native code.
`request.py` is what can be asked, `answer.py` and `hit.py` are what is answered.
"""
