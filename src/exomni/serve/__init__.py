"""The server: a live avatar over WebSocket and HTTP, and the page that shows it."""
