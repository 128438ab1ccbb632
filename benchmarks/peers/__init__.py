"""The clock of this package beside a floor without a library and beside other implementations, in the same minutes."""
