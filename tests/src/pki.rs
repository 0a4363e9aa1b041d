//! Authorities and certificates made for a test, and clients that trust and show them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// Years in which a certificate is valid: from the start of one to that of the other.
pub type Years = (i32, i32);

/// Years that last.
pub const VALID: Years = (2020, 2100);
/// Years that are over.
pub const EXPIRED: Years = (2020, 2025);

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// What a client knows: whom it trusts, and what it shows.
#[derive(Debug, Clone)]
pub struct Client {
    /// In PEM.
    pub trusts: String,
    /// Its certificate, where it shows one.
    pub shows: Option<Pair>,
    /// Its token, where it sends one.
    pub token: Option<String>,
}

impl Authority {
    /// A new one.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of these names, and of addresses among them.
    pub fn issue(&self, names: &[&str], (from, to): Years) -> anyhow::Result<Pair> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate()?;
        Ok(Pair { cert: params.signed_by(&key, &self.0)?.pem(), key: key.serialize_pem() })
    }

    /// The certificate of a server on this machine.
    pub fn server(&self, years: Years) -> anyhow::Result<Pair> {
        self.issue(&["localhost", "127.0.0.1"], years)
    }

    /// A client that trusts it and shows nothing.
    #[must_use]
    pub fn client(&self) -> Client {
        Client { trusts: self.pem(), shows: None, token: None }
    }
}

impl Client {
    /// The same, showing this certificate.
    #[must_use]
    pub fn showing(&self, pair: Pair) -> Self {
        Self { shows: Some(pair), ..self.clone() }
    }

    /// The same, sending this token.
    #[must_use]
    pub fn sending(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Over HTTP.
    pub fn http(&self) -> anyhow::Result<reqwest::Client> {
        let mut builder =
            reqwest::Client::builder().tls_certs_only(reqwest::Certificate::from_pem_bundle(self.trusts.as_bytes())?);
        if let Some(Pair { cert, key }) = &self.shows {
            builder = builder.identity(reqwest::Identity::from_pem(format!("{key}{cert}").as_bytes())?);
        }
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse()?;
            builder = builder.default_headers([(reqwest::header::AUTHORIZATION, value)].into_iter().collect());
        }
        Ok(builder.no_proxy().build()?)
    }

    /// Over gRPC; the token is for each request.
    pub async fn grpc(&self, address: SocketAddr) -> anyhow::Result<Channel> {
        let connector = TlsConnector::from(Arc::new(self.config(&[b"h2"])?));
        let connect = tower::service_fn(move |_: http::Uri| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        });
        Ok(Endpoint::from_static("http://localhost").connect_with_connector(connect).await?)
    }

    /// What the server at `address` shows in a new handshake; with TLS 1.3 its verdict on what is shown comes later.
    pub async fn server_certificate(&self, address: SocketAddr) -> anyhow::Result<Vec<u8>> {
        let connector = TlsConnector::from(Arc::new(self.config(&[])?));
        let stream = TcpStream::connect(address).await?;
        let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        Ok(chain.first().map(|certificate| certificate.to_vec()).unwrap_or_default())
    }

    fn config(&self, protocols: &[&[u8]]) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trusts.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match &self.shows {
            Some(Pair { cert, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes())?];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}
