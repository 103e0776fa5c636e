"""The plots of a report, each a function from findings to a figure."""
