"""What `agentmesh install` changes on a machine, and how all is undone: planned, then done, and written down."""
