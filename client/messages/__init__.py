"""Between the dataclasses of the index and the messages of `dejalog.v1`, both ways."""
