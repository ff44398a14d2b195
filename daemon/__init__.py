"""The process around the index: sources in, gRPC out, configuration and the command line."""
