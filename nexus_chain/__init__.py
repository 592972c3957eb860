"""The library that users, nodes and auditors import; ARCHITECTURE.md says what lies where."""
