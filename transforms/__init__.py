"""The worker side: from references to rows. It never imports ``pipeline``."""
