//! The event loop: sockets, timers and wake-ups. It knows nothing of the protocol.
