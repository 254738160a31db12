"""What `agentmesh doctor` looks at, one small check for each thing, and what it mends. With the agent or without it."""
