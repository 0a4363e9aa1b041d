//! TLS and clients as metrics. A client's name comes from the access file, so there are as many as it lists.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::front::guard::Clients;
use crate::front::secured::Seen;
use crate::front::tls::Material;

/// Reads what the ports count at each scrape.
#[derive(Debug)]
pub struct FrontCollector(Seen);

impl FrontCollector {
    /// Reads `seen`.
    #[must_use]
    pub const fn new(seen: Seen) -> Self {
        Self(seen)
    }
}

impl prometheus_client::collector::Collector for FrontCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(material) = &self.0.material {
            let material = std::sync::Arc::clone(&material.borrow());
            certificate(&mut encoder, &material)?;
            handshakes(&mut encoder, self.0.handshakes.counts())?;
        }
        files(&mut encoder, &self.0)?;
        if let Some(clients) = &self.0.clients {
            let clients = std::sync::Arc::clone(&clients.borrow());
            requests(&mut encoder, &clients)?;
            let help = "Requests that were refused because nobody knows who asked";
            let family = encoder.encode_descriptor("sluice_strangers", help, None, MetricType::Counter)?;
            ConstCounter::new(self.0.common.strangers()).encode(family)?;
        }
        Ok(())
    }
}

fn certificate(encoder: &mut DescriptorEncoder<'_>, material: &Material) -> fmt::Result {
    let expires = material.expires().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (name, help) = ("sluice_tls_certificate_expiry_timestamp_seconds", "When the server's certificate is over");
    ConstGauge::new(expires).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn handshakes(encoder: &mut DescriptorEncoder<'_>, counts: [(&'static str, u64); 2]) -> fmt::Result {
    let help = "Handshakes of TLS, by how they ended";
    let mut family = encoder.encode_descriptor("sluice_tls_handshakes", help, None, MetricType::Counter)?;
    for (result, count) in counts {
        ConstCounter::new(count).encode(family.encode_family(&[("result", result)])?)?;
    }
    Ok(())
}

fn files(encoder: &mut DescriptorEncoder<'_>, seen: &Seen) -> fmt::Result {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    if seen.files.is_empty() {
        return Ok(());
    }
    let help = "New contents of files with credentials, by whether they are in force";
    let mut family = encoder.encode_descriptor("sluice_credentials_reloads", help, None, MetricType::Counter)?;
    for (file, health) in &seen.files {
        for (result, count) in [("success", read(&health.reloads)), ("failure", read(&health.failures))] {
            ConstCounter::new(count).encode(family.encode_family(&[("file", *file), ("result", result)])?)?;
        }
    }
    let help =
        "1 while the newest files with credentials are refused, or have expired, and the last good ones are in force";
    let mut family = encoder.encode_descriptor("sluice_credentials_error", help, None, MetricType::Gauge)?;
    for (file, health) in &seen.files {
        let refused = f64::from(u8::from(health.refused.load(Ordering::Relaxed)));
        ConstGauge::new(refused).encode(family.encode_family(&[("file", *file)])?)?;
    }
    Ok(())
}

fn requests(encoder: &mut DescriptorEncoder<'_>, clients: &Clients) -> fmt::Result {
    let help = "Requests of each client, by what was decided about them";
    let mut family = encoder.encode_descriptor("sluice_client_requests", help, None, MetricType::Counter)?;
    for client in clients.iter() {
        let counts = client.counts();
        for (result, count) in
            [("admitted", &counts.admitted), ("limited", &counts.limited), ("forbidden", &counts.forbidden)]
        {
            let labels = [("client", client.name()), ("result", result)];
            ConstCounter::new(count.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Requests of each client that are at work now";
    let mut family = encoder.encode_descriptor("sluice_client_requests_at_work", help, None, MetricType::Gauge)?;
    for client in clients.iter() {
        let at_work = f64::from(client.counts().at_work.load(Ordering::Relaxed));
        ConstGauge::new(at_work).encode(family.encode_family(&[("client", client.name())])?)?;
    }
    Ok(())
}
