//! Which code does the cryptography of TLS: ring, for this program's clients and its server alike.

/// Makes it that of this process. HTTP clients need it; a second call does nothing.
pub fn install() {
    // Fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
