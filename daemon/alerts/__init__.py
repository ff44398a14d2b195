"""Standing queries of the configuration, and the delivery of what matches them."""
