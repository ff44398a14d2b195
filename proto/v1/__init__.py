"""Generated messages and stubs of package `dejalog.v1`."""
