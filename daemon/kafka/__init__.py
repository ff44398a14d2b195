"""What dejalog knows of Kafka besides Faust: settings, rules for topics, connections, tools.

`daemon/app.py` is the stream worker that uses it, and the one module that imports faust.
"""
