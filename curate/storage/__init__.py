"""Tables of a workspace, on a disk or an object store: parts that are complete or absent."""
