//! The settings of TLS, of which several only make sense together.

use std::collections::BTreeSet;

use super::read::{Reader, path, words};
use super::{ClientAuth, Port, TlsSettings};

const PORTS: [(&str, Port); 3] = [("http", Port::Http), ("grpc", Port::Grpc), ("admin", Port::Admin)];

/// What is said of TLS; `Some(None)` where it is off, `None` with problems in the reader. `access` tells whether there is
/// an access file: without one a certificate that a client need not have changes nothing.
pub(super) fn tls(reader: &mut Reader, access: bool) -> Option<Option<TlsSettings>> {
    let (cert, key) = (reader.optional("tls-cert", path), reader.optional("tls-key", path));
    let client_ca = reader.optional("tls-client-ca", path);
    let client_auth = reader.get("tls-client-auth", client_auth);
    let ports = reader.get("tls-on", ports);
    let (cert, key, client_ca, client_auth) = (cert?, key?, client_ca?, client_auth?);
    let auth_given = reader.place("tls-client-auth").is_some();
    let problem = match (&cert, &key) {
        (Some(_), None) => Some((&["tls-cert"][..], "needs tls-key, the private key of the certificate")),
        (None, Some(_)) => Some((&["tls-key"][..], "needs tls-cert, the certificate of the key")),
        (None, None) if client_ca.is_some() => {
            Some((&["tls-client-ca"][..], "needs tls-cert and tls-key: client certificates are shown in TLS"))
        }
        // Somebody chose ports, which would be left in plain text without a word. All of them are the default.
        (None, None) if ports.as_ref().is_some_and(|ports| ports.len() < PORTS.len()) => {
            Some((&["tls-on"][..], "needs tls-cert and tls-key: there is no TLS without a certificate"))
        }
        _ if client_ca.is_none() && auth_given && (cert.is_some() || client_auth == ClientAuth::Optional) => {
            Some((&["tls-client-auth"][..], "needs tls-client-ca, the authorities of client certificates"))
        }
        _ if client_ca.is_some() && client_auth == ClientAuth::Optional && !access => Some((
            &["tls-client-auth"][..],
            "optional changes nothing without access-file; write required, or name the file",
        )),
        _ => None,
    };
    if let Some((names, message)) = problem {
        reader.wrong(names, message.to_owned());
        return None;
    }
    let ports = ports?;
    Some(cert.zip(key).map(|(cert, key)| TlsSettings { cert, key, client_ca, client_auth, ports }))
}

fn client_auth(text: &str) -> Result<ClientAuth, String> {
    match text {
        "required" => Ok(ClientAuth::Required),
        "optional" => Ok(ClientAuth::Optional),
        _ => Err("is not required or optional; write one of them".to_owned()),
    }
}

fn ports(text: &str) -> Result<BTreeSet<Port>, String> {
    let refused = || "is not a list of ports; write http, grpc and admin, or some of them, with commas".to_owned();
    let port = |word: &str| PORTS.iter().find(|(name, _)| *name == word).map(|(_, port)| *port);
    let ports: Option<BTreeSet<Port>> = words(text)?.into_iter().map(port).collect();
    ports.filter(|ports| !ports.is_empty()).ok_or_else(refused)
}
