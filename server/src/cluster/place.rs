//! Where in which cluster this process runs: what Kubernetes puts into every pod's environment and files.

use std::path::{Path, PathBuf};

use url::Url;

/// Where Kubernetes mounts the account of a pod.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";
/// Bytes of a namespace's name.
const NAMESPACE_MAX: usize = 63;

/// A pod's view of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The API server.
    pub api: Url,
    /// Folder with `token`, and `ca.crt` where `api` is https. Both are read again when they change.
    pub account: PathBuf,
    /// The pod's own.
    pub namespace: String,
    /// What this process is called among those that mount the same ConfigMap: the pod's name. It stays the same when the
    /// container starts again.
    pub reporter: String,
}

/// Why the cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Not in a cluster.
    #[error("KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster")]
    NoCluster,
    /// The address of the API server is none.
    #[error("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address: {0}")]
    Address(String),
    /// The pod has no account.
    #[error("{path}: {source}; does the pod have `automountServiceAccountToken: true`?", path = .path.display())]
    NoAccount {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The namespace's file holds something else.
    #[error("{path} names no namespace", path = .0.display())]
    NoNamespace(PathBuf),
}

// === impl Place ===

impl Place {
    /// Where this process runs.
    pub fn of_this_process() -> Result<Self, PlaceError> {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        Self::of(|name| std::env::var(name).ok(), Path::new(ACCOUNT), &host)
    }

    /// The place that an environment, an account's folder and a host's name describe.
    fn of(variable: impl Fn(&str) -> Option<String>, account: &Path, host: &str) -> Result<Self, PlaceError> {
        let api = variable(HOST).filter(|host| !host.is_empty()).ok_or(PlaceError::NoCluster)?;
        let port = variable(PORT).unwrap_or_else(|| "443".to_owned());
        let api = address(&api, &port)?;
        let path = account.join("namespace");
        let namespace = std::fs::read_to_string(&path)
            .map_err(|source| PlaceError::NoAccount { path: path.clone(), source })?
            .trim()
            .to_owned();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if namespace.is_empty() || namespace.len() > NAMESPACE_MAX || !namespace.bytes().all(plain) {
            return Err(PlaceError::NoNamespace(path));
        }
        Ok(Self { api, account: account.to_owned(), namespace, reporter: host.to_owned() })
    }
}

fn address(host: &str, port: &str) -> Result<Url, PlaceError> {
    let unusable = |why: String| PlaceError::Address(format!("{host:?}, {port:?}: {why}"));
    let port: u16 = port.parse().map_err(|_| unusable("not a port".to_owned()))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = Url::parse(&format!("https://{host}:{port}/")).map_err(|error| unusable(error.to_string()))?;
    let whole = url.path() == "/" && url.username().is_empty() && url.query().is_none() && url.fragment().is_none();
    if whole { Ok(url) } else { Err(unusable("not a host".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)], namespace: Option<&str>) -> Result<Place, String> {
        let account = tempfile::tempdir().unwrap();
        if let Some(namespace) = namespace {
            std::fs::write(account.path().join("namespace"), namespace).unwrap();
        }
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let told = Place::of(variable, account.path(), "fraud-0");
        told.map_err(|error| error.to_string().replace(&account.path().display().to_string(), "ACCOUNT"))
    }

    #[test]
    fn a_pod_knows_its_cluster_its_namespace_and_its_name() {
        let found = place(&[(HOST, "10.0.0.1"), (PORT, "6443")], Some("ml-production\n")).unwrap();
        assert_eq!(found.api.as_str(), "https://10.0.0.1:6443/");
        assert_eq!((found.namespace.as_str(), found.reporter.as_str()), ("ml-production", "fraud-0"));
        for (host, port, url) in [
            ("10.0.0.1", None, "https://10.0.0.1/"),
            ("fd00::1", Some("443"), "https://[fd00::1]/"),
            ("kubernetes.default.svc", Some("8443"), "https://kubernetes.default.svc:8443/"),
        ] {
            let variables: Vec<_> = [Some((HOST, host)), port.map(|port| (PORT, port))].into_iter().flatten().collect();
            assert_eq!(place(&variables, Some("ml")).unwrap().api.as_str(), url);
        }
    }

    #[test]
    fn what_is_no_pod_is_told_and_why() {
        let at = |host| [(HOST, host), (PORT, "443")];
        for (variables, namespace, told) in [
            (&[][..], Some("ml"), "KUBERNETES_SERVICE_HOST is not set"),
            (&at("")[..], Some("ml"), "KUBERNETES_SERVICE_HOST is not set"),
            (&at("user@10.0.0.1/x")[..], Some("ml"), "not a host"),
            (&at("10.0.0.1:1:x/")[..], Some("ml"), "make no address"),
            (&[(HOST, "10.0.0.1"), (PORT, "https")][..], Some("ml"), "not a port"),
            (&at("10.0.0.1")[..], None, "ACCOUNT/namespace: "),
            (&at("10.0.0.1")[..], Some(" \n"), "ACCOUNT/namespace names no namespace"),
            (&at("10.0.0.1")[..], Some("../x"), "names no namespace"),
        ] {
            let error = place(variables, namespace).unwrap_err();
            assert!(error.contains(told), "{variables:?} {namespace:?}: {error}");
        }
    }
}
