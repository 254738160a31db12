"""What agentmesh decides, as pure values and functions: no clock, no I/O, no asyncio, no randomness."""
