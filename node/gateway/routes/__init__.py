"""The gateway's routes: each reads a request, asks the service, and writes what that interface expects."""
