"""Tenure: the event-sourced front door of a Jira app."""

__version__ = "0.1.0"
