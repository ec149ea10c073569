"""The strategies: one file is one method with one cited source."""
