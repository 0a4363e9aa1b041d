//! Precedence, defaults, and a table of bad settings with the exact words about them.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::schema::tests::generated;

fn resolve(flags: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>) -> Result<Settings, Problems> {
    let mut layer = SettingsLayer::new();
    for (name, text) in flags {
        layer.set(name, *text);
    }
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Settings::resolve(&layer, env, file.map(|text| ("settings.yaml", text)))
}

fn good(flags: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>) -> Settings {
    resolve(flags, env, file).unwrap_or_else(|problems| panic!("{problems}"))
}

const VALUES: (&str, &str) = ("values", "v.yaml");

#[test]
fn every_default_of_the_list_is_a_legal_setting() {
    let settings = good(&[VALUES], &[], None);
    assert_eq!(settings.http, "127.0.0.1:8000".parse().unwrap());
    assert_eq!(settings.grpc_message_bytes_max, 64 << 20);
    assert_eq!(settings.grace_period, Duration::from_secs(30));
    assert_eq!(settings.watch_interval, Duration::from_secs(15));
    assert_eq!((settings.otlp_endpoint, settings.admin_token_file, settings.status_configmap), (None, None, None));
    assert_eq!(good(&[VALUES, ("grace-period", "2s")], &[], None).not_ready_wait, Duration::from_secs(2));
    assert_eq!((settings.device, settings.readiness), (Device::Auto, Readiness::All));
    let mut written = vec![VALUES];
    written.extend(SETTINGS.iter().map(|s| (s.name, s.default)).filter(|(_, default)| !default.is_empty()));
    assert_eq!(good(&written, &[], None), good(&[VALUES], &[], None));
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file() {
    let file = "http: 0.0.0.0:1\nvalues: [a.yaml, models]\nconnectionAgeMax: off\n";
    assert_eq!(good(&[], &[], Some(file)).http.port(), 1);
    assert_eq!(good(&[], &[("SLUICE_HTTP", "0.0.0.0:2")], Some(file)).http.port(), 2);
    let all = good(&[("http", "0.0.0.0:3")], &[("SLUICE_HTTP", "0.0.0.0:2")], Some(file));
    assert_eq!(all.http.port(), 3);
    assert_eq!(all.values, [Path::new("a.yaml"), Path::new("models")]);
    assert_eq!(all.connection_age_max, None);
    assert_eq!(good(&[VALUES], &[("SLUICE_HTTP", "")], None).http.port(), 8000, "empty is absent");
}

#[test]
fn every_values_path_is_watched_as_the_settings_say() {
    let flags = [("values", "a.yaml,models"), ("watch-interval", "3s"), ("watch-notify", "false")];
    let settings = good(&flags, &[], None);
    let watches: Vec<_> = settings.watches().map(|watch| (watch.source, watch.interval, watch.notify)).collect();
    let expected = ["a.yaml", "models"].map(|source| (source.into(), Duration::from_secs(3), false));
    assert_eq!(watches, expected);
    assert!(good(&[VALUES], &[], None).watches().all(|watch| watch.notify), "the kernel is asked by default");
}

#[test]
fn variables_of_kubernetes_and_of_others_pass() {
    let env = [
        ("SLUICE_SERVICE_HOST", "10.0.0.1"),
        ("SLUICE_SERVICE_PORT_HTTP", "8000"),
        ("SLUICE_PORT", "tcp://10.0.0.1:8000"),
        ("SLUICE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("SLUICE_ADMIN_PORT_8002_TCP_PROTO", "tcp"),
        ("SLUICE_SETTINGS", "/etc/sluice/settings.yaml"),
        ("HTTP", "x"),
    ];
    assert_eq!(good(&[VALUES], &env, None), good(&[VALUES], &[], None));
}

const TLS: [(&str, &str); 2] = [("tls-cert", "a.crt"), ("tls-key", "a.key")];
const OPTIONAL: &[(&str, &str)] = &[("SLUICE_TLS_CLIENT_AUTH", "optional")];

#[test]
fn tls_is_off_or_whole() {
    assert_eq!(good(&[VALUES], &[], None).tls, None);
    let tls = good(&[VALUES, TLS[0], TLS[1]], &[], None).tls.unwrap();
    assert_eq!((tls.client_ca, tls.client_auth), (None, ClientAuth::Required));
    assert_eq!(tls.ports, [Port::Http, Port::Grpc, Port::Admin].into());
    let more = [("tls-client-ca", "ca.crt"), ("tls-on", "grpc"), ("access-file", "access.yaml")];
    let tls = good(&[&[VALUES], &TLS[..], &more].concat(), OPTIONAL, None).tls.unwrap();
    assert_eq!((tls.client_auth, tls.ports), (ClientAuth::Optional, [Port::Grpc].into()));
}

#[test]
fn every_bad_setting_is_told_with_its_source() {
    type Case =
        (&'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)], &'static str);
    let cases: &[Case] = &[
        ("nothing given", &[], &[], ""),
        (
            "all three sources",
            &[VALUES, ("http", "8000"), ("htpp", "x")],
            &[("SLUICE_HTTP", "localhost:8000"), ("SLUICE_GRCP", "x"), ("SLUICE_DEVICE", "gpu")],
            "http: here\nlogformat: xml\ngrpcMessageBytesMax: 64 MB\ndevice: [a, {b: 1}]\nadmin: {port: 1}\n",
        ),
        ("broken file", &[VALUES], &[], "http: [\n"),
        ("file is a list", &[VALUES], &[], "- http\n"),
        ("duplicate key", &[VALUES], &[], "log: info\nlog: debug\n"),
        (
            "numbers",
            &[VALUES, ("requests-max", "0"), ("access-log-sample", "5"), ("cache-bytes-max", "1KiB")],
            &[("SLUICE_HTTP_BODY_BYTES_MAX", "99TiB"), ("SLUICE_WATCH_INTERVAL", "0"), ("SLUICE_KEEPALIVE", "never")],
            "gracePeriod: 2h\n",
        ),
        ("one port twice", &[VALUES, ("http", "0.0.0.0:8001")], &[], ""),
        ("waits", &[VALUES, ("grace-period", "2s"), ("not-ready-wait", "3s")], &[], ""),
        (
            "names",
            &[("values", " , "), ("readiness", "fraud,Bad Name"), ("otlp-endpoint", "collector:4317")],
            &[("SLUICE_DEVICE", "cuda:x"), ("SLUICE_HTTP_PORT", "9000"), ("SLUICE_LOG_FORMAT", "xml")],
            "",
        ),
        ("a certificate without a key", &[VALUES, ("tls-cert", "a.crt"), ("tls-on", "https")], &[], ""),
        ("a key without a certificate", &[VALUES, ("tls-key", "a.key")], &[], ""),
        ("ports without a certificate", &[VALUES, ("tls-on", "http,grpc")], &[], ""),
        ("clients without a server", &[VALUES, ("tls-client-ca", "ca.crt")], &[], ""),
        ("optional without an access file", &[VALUES, TLS[0], TLS[1], ("tls-client-ca", "ca.crt")], OPTIONAL, ""),
        ("optional without an authority", &[VALUES], OPTIONAL, ""),
        ("required without an authority", &[VALUES, TLS[0], TLS[1], ("tls-client-auth", "required")], &[], ""),
        ("another word for it", &[VALUES, TLS[0], TLS[1], ("tls-client-auth", "yes"), ("tls-on", "")], &[], ""),
        (
            "a ConfigMap's name",
            &[VALUES, ("status-configmap", "$(INSTANCE)-values")],
            &[("SLUICE_STATUS_CONFIGMAP", "Values")],
            "statusConfigmap: a..b\n",
        ),
        ("a ConfigMap and values beside it", &[("values", "a,b"), ("status-configmap", "fraud-values")], &[], ""),
    ];
    let mut told = String::new();
    for (name, flags, env, file) in cases {
        let problems = resolve(flags, env, Some(file)).expect_err(name);
        writeln!(told, "# {name}\n{problems}\n").unwrap();
    }
    insta::assert_snapshot!("bad_settings", told);
}

#[test]
fn the_reference_page_is_generated() {
    generated("docs/settings.md", &settings_reference());
}
