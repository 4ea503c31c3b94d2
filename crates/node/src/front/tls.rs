//! TLS as the configuration wants it: the context that new connections begin with is made anew when a directive of it changes.

use crate::log;
use crate::node::Node;

impl Node {
    /// Reads certificates and keys again. New connections begin with them; those that are there stay as they are. If anything is wrong the log
    /// is told, and what was there before is kept.
    pub fn configure_tls(&mut self) -> Result<(), ()> {
        match self.config.tls_context() {
            Ok(context) => {
                self.front.tls = Some(context);
                Ok(())
            }
            Err(text) => {
                log::warning!("{text}");
                Err(())
            }
        }
    }

    /// A directive of TLS was changed.
    ///
    /// # Errors
    /// What the client is told: the log has the reason.
    pub fn tls_changed(&mut self) -> Result<(), String> {
        if self.config.uses_tls() {
            self.configure_tls().map_err(|()| UPDATE_FAILED.to_string())?;
        }
        Ok(())
    }

    /// `tls-port` was changed: there must be something to listen with.
    ///
    /// # Errors
    /// As above.
    pub fn need_tls(&mut self) -> Result<(), String> {
        if self.front.tls.is_none() {
            self.configure_tls().map_err(|()| UPDATE_FAILED.to_string())?;
        }
        Ok(())
    }

    /// At the start.
    ///
    /// # Errors
    /// The last line of the log.
    pub fn begin_tls(&mut self) -> Result<(), String> {
        if self.config.uses_tls() {
            self.configure_tls().map_err(|()| "Failed to configure TLS. Check logs for more info.".to_string())?;
        }
        Ok(())
    }
}

const UPDATE_FAILED: &str = "Unable to update TLS configuration. Check server logs.";
