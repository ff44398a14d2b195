"""The index as tools of the Model Context Protocol, for programs that a language model steers."""
