"""Where records come from: files, streams, brokers and clients, behind one protocol."""
