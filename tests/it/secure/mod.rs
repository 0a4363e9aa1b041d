//! A whole server that speaks TLS and knows its callers: handshakes, rotation, certificates, tokens and limits, each over
//! both protocols.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

mod access;
mod client;
mod handshakes;
mod rotation;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;
use server::front::proto::ModelInferRequest;
use server::front::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use server::front::proto::model_infer_request::InferInputTensor;
use tests::kubelet::{Kubelet, LinkOrder};
use tests::pki::{Authority, Client, Pair, VALID};
use tests::sandbox::{Running, Sandbox};
use tonic::Code;
use tonic::transport::Channel;

const MODEL: &str = "identity-fp32";

/// A server with one model, and what its certificate and its clients come from.
struct World {
    sandbox: Sandbox,
    authority: Authority,
    /// The mounted Secret.
    secret: Kubelet,
}

impl World {
    /// A server whose certificate is that of `pair`, with these settings, the rest of whose files is in `more`.
    fn with(
        authority: Authority,
        pair: &Pair,
        settings: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut sandbox = Sandbox::new()?;
        let mut secret = Kubelet::new(sandbox.root().join("secret"), LinkOrder::AfterRename)?;
        let files = [("tls.crt", &*pair.cert), ("tls.key", &*pair.key)];
        secret.swap(&[&files, more].concat())?;
        let mount = secret.mount().to_owned();
        let path = move |name: &str| mount.join(name).display().to_string();
        let fixed = [("tls-cert", path("tls.crt")), ("tls-key", path("tls.key")), ("watch-interval", "1s".to_owned())];
        for (name, value) in fixed {
            sandbox = sandbox.setting(name, &value);
        }
        for (name, value) in settings {
            // What ends in a file of the mount is one.
            let value = if more.iter().any(|(file, _)| file == value) { path(value) } else { (*value).to_owned() };
            sandbox = sandbox.setting(name, &value);
        }
        sandbox.publish(MODEL, "v1")?;
        let values = sandbox.values(MODEL, "v1", "");
        sandbox.kubelet.swap(&[("values.yaml", &values)])?;
        Ok(Self { sandbox, authority, secret })
    }

    fn new(settings: &[(&str, &str)], more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let authority = Authority::new()?;
        let pair = authority.server(VALID)?;
        Self::with(authority, &pair, settings, more)
    }

    async fn start(&self) -> anyhow::Result<Running> {
        let running = self.sandbox.start().await?;
        running.promoted(MODEL, "v1").await?;
        Ok(running)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.secret.mount().join(name)
    }
}

/// Clients of an access file; each has its own name as its token.
fn access(clients: &[(&str, &str)]) -> String {
    let client = |(name, rest): &(&str, &str)| {
        let digest = config::content_digest(name.as_bytes()).hex();
        format!("- {{name: {name}, tokenSha256: \"{digest}\", {rest}}}\n")
    };
    format!("clients:\n{}", clients.iter().map(client).collect::<String>())
}

fn https(address: SocketAddr, path: &str) -> String {
    format!("https://{address}{path}")
}

/// The status of a request over HTTP, and its error; `None` where there is no connection.
async fn over_http(client: &Client, running: &Running) -> Option<(u16, String)> {
    ask_http(&client.http().unwrap(), running).await
}

async fn ask_http(client: &reqwest::Client, running: &Running) -> Option<(u16, String)> {
    let url = https(running.app.addresses().http, &format!("/v2/models/{MODEL}/infer"));
    let body = json!({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [7]}]});
    let answer = client.post(url).body(body.to_string()).send().await.ok()?;
    let status = answer.status().as_u16();
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.ok()?).unwrap();
    Some((status, body["error"].as_str().unwrap_or_default().to_owned()))
}

/// The code of a request over gRPC, and its message; `None` where there is no connection.
async fn over_grpc(client: &Client, running: &Running) -> Option<(Code, String)> {
    let channel = client.grpc(running.app.addresses().grpc).await.ok()?;
    ask_grpc(channel, client.token.as_deref()).await
}

/// What the server's metrics say of `series`.
async fn metric(client: &Client, running: &Running, series: &str) -> f64 {
    let http = client.http().unwrap();
    let text = http.get(https(running.admin(), "/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}: {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn grpc_request(token: Option<&str>) -> tonic::Request<ModelInferRequest> {
    let input = InferInputTensor {
        name: "INPUT0".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 1],
        ..InferInputTensor::default()
    };
    let raw = vec![7_f32.to_le_bytes().to_vec().into()];
    let message = ModelInferRequest {
        model_name: MODEL.to_owned(),
        inputs: vec![input],
        raw_input_contents: raw,
        ..ModelInferRequest::default()
    };
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

async fn ask_grpc(channel: Channel, token: Option<&str>) -> Option<(Code, String)> {
    match GrpcInferenceServiceClient::new(channel).model_infer(grpc_request(token)).await {
        Ok(_) => Some((Code::Ok, String::new())),
        // A handshake that is refused after the client's part of it is done looks like a connection that broke.
        Err(status)
            if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled) =>
        {
            None
        }
        Err(status) => Some((status.code(), status.message().to_owned())),
    }
}
