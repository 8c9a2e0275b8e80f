"""What goes over the WebSocket, as typed messages: OpenAI's Realtime events and a few of our own (docs/protocol.md).

No torch here: a client may import it. `session` is what a client may set, `client` its messages, `server` the
server's, `items` what is in both. Messages from clients are checked strictly: whatever they hold that is not written
here is refused by name.
"""

PATH = "/v1/realtime"
