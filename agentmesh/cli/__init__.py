"""The commands that people type: small clients of the agent."""
