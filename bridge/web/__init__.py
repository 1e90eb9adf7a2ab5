"""HTTP in: the public hook path and probes, the admin listener. The only importer of Starlette."""
