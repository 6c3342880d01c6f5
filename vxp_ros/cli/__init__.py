"""The `vxp` command line: one file per command."""
