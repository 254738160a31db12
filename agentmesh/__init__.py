"""agentmesh: messages and files between the programs in tmux panes, over SSH."""

__version__ = "0.1.0"
