//! Who sits at the other end of a debugging session: the client that began it. The debugger knows neither sockets nor the clock.

/// The client of a session, for the time of one run.
pub trait Console {
    /// Sends what the debugger says. A client that has gone is found out by [`Console::receive`].
    fn send(&mut self, bytes: &[u8]);

    /// Waits until the client has sent something, and appends it to `input`.
    fn receive(&mut self, input: &mut Vec<u8>) -> Received;

    /// Whether the script has run for long since it began or stopped the last time.
    fn has_run_long(&mut self) -> bool;

    /// The script goes on after a stop: its time does, too.
    fn resumed(&mut self);

    /// Whether the last command of the script was refused before it was executed.
    fn was_refused(&self) -> bool;
}

/// What came of a wait for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Bytes,
    /// Nothing comes any more: the script runs on without a debugger.
    Gone,
    /// The script ends with this error, whatever it does; a code `ERR` comes before it.
    End(&'static str),
}
