"""What the tests of a real Amanda use. Everything here runs as root within scripts/sandbox.sh."""
