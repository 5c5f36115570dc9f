"""rloop: an event loop in Rust over mio; TLS and Unix sockets are not in it."""

from tideloop._bench.peers import Peer

PEER = Peer("rloop", "rloop", module="rloop", distribution="rloop", lacks=frozenset({"tls", "start_tls", "unix"}))
