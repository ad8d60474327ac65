"""What a user would otherwise pick, each a script that is run in an environment of its own."""
