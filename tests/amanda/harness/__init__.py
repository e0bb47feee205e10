"""What the tests of a real Amanda stand on. Everything here runs as root within scripts/sandbox.sh."""
