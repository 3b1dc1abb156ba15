//! Whether it may be served as it is set: what leaves this machine does so over TLS, or because it was said.

use super::{Settings, tls};
use std::net::SocketAddr;

/// It must not be served like this.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// gRPC would leave this machine without TLS.
    #[error(
        "server.listen = {0}: pictures of documents would travel unencrypted. Set server.tls, or listen on 127.0.0.1; \
         set server.public_plain_text = true only where something before this server speaks TLS for it"
    )]
    PlainText(SocketAddr),
    /// The admin port would leave this machine.
    #[error(
        "server.admin = {0}: the admin port speaks plain HTTP and asks nobody for a token. Listen on 127.0.0.1, or set          server.public_admin = true where only monitoring reaches it"
    )]
    Admin(SocketAddr),
    /// The files for TLS cannot be used.
    #[error("server.tls: {0}")]
    Tls(#[from] tls::TlsError),
}

/// Whether it may be served as the settings say, with files that are there and fit. Binds nothing.
pub fn check(settings: &Settings) -> Result<(), Unfit> {
    private(settings)?;
    tls::load(&settings.tls)?;
    Ok(())
}

/// Whether nobody beyond this machine reaches what they should not, unless the settings say so.
pub(super) fn private(settings: &Settings) -> Result<(), Unfit> {
    let public = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    if public(settings.listen) && !settings.tls.used() && !settings.public_plain_text {
        return Err(Unfit::PlainText(settings.listen));
    }
    if public(settings.admin) && !settings.public_admin {
        return Err(Unfit::Admin(settings.admin));
    }
    Ok(())
}
