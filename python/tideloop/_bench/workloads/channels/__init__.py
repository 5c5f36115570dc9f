"""Echo servers over each kind of channel: what a message costs the server."""
