//! The load client of `overhead`: closed loop, one connection a caller, in a process of its own.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use server::front::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use server::front::proto::{ModelInferRequest, model_infer_request::InferInputTensor};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::stats::{micros, quantile};

/// Which front end is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// `ModelInfer` with raw contents.
    Grpc,
    /// `POST …/infer` with the binary tensor extension.
    Http,
}

/// One measurement.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Which front end.
    #[arg(long)]
    pub(crate) protocol: Protocol,
    /// `127.0.0.1:PORT`.
    #[arg(long)]
    pub(crate) address: String,
    /// Callers at once.
    #[arg(long)]
    pub(crate) callers: usize,
    /// Bytes of the tensor.
    #[arg(long)]
    pub(crate) bytes: usize,
    /// How long.
    #[arg(long)]
    pub(crate) milliseconds: u64,
}

/// What a measurement saw.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Answers.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Latency.
    pub(crate) p50_us: f64,
    /// Latency.
    pub(crate) p99_us: f64,
}

/// Calls until the time is over and prints a [`Report`] as JSON.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let mut callers = Vec::new();
    for _ in 0..options.callers {
        callers.push(Caller::connect(options).await?);
    }
    let started = Instant::now();
    let until = started + Duration::from_millis(options.milliseconds);
    let tasks: Vec<_> = callers.into_iter().map(|caller| tokio::spawn(caller.call_until(until))).collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let requests = latencies.len() as u64;
    let report =
        Report { requests, seconds, p50_us: quantile(&mut latencies, 0.5), p99_us: quantile(&mut latencies, 0.99) };
    println!("{}", serde_json::to_string(&report)?);
    Ok(true)
}

enum Caller {
    Grpc { client: GrpcInferenceServiceClient<Channel>, request: ModelInferRequest },
    Http { sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>, request: http::Request<Full<Bytes>> },
}

impl Caller {
    async fn connect(options: &Options) -> anyhow::Result<Self> {
        match options.protocol {
            Protocol::Grpc => {
                let channel = Endpoint::new(format!("http://{}", options.address))?.tcp_nodelay(true).connect().await?;
                let limit = 64 << 20;
                let client = GrpcInferenceServiceClient::new(channel).max_decoding_message_size(limit);
                Ok(Self::Grpc { client, request: grpc_request(options.bytes) })
            }
            Protocol::Http => {
                let stream = TcpStream::connect(&options.address).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Self::Http { sender, request: http_request(options)? })
            }
        }
    }

    async fn call_until(mut self, until: Instant) -> anyhow::Result<Vec<u32>> {
        let mut latencies = Vec::new();
        loop {
            let started = Instant::now();
            if started >= until {
                return Ok(latencies);
            }
            self.call().await?;
            latencies.push(micros(started.elapsed()));
        }
    }

    async fn call(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Grpc { client, request } => {
                let reply = client.model_infer(request.clone()).await?.into_inner();
                ensure!(reply.raw_output_contents.len() == 1, "the answer holds one output");
            }
            Self::Http { sender, request } => {
                let response = sender.send_request(request.clone()).await?;
                ensure!(response.status().is_success(), "HTTP {}", response.status());
                let body = response.into_body().collect().await?;
                ensure!(!body.to_bytes().is_empty(), "the answer has a body");
            }
        }
        Ok(())
    }
}

/// The model and input that both protocols call.
pub(crate) const MODEL: &str = "identity-fp32";

fn grpc_request(bytes: usize) -> ModelInferRequest {
    let columns = i64::try_from(bytes / 4).expect("a small number");
    let input = InferInputTensor {
        name: "INPUT0".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, columns],
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: MODEL.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![vec![0; bytes].into()],
        ..ModelInferRequest::default()
    }
}

fn http_request(options: &Options) -> anyhow::Result<http::Request<Full<Bytes>>> {
    let header = format!(
        r#"{{"inputs":[{{"name":"INPUT0","datatype":"FP32","shape":[1,{}],"parameters":{{"binary_data_size":{}}}}}],"parameters":{{"binary_data_output":true}}}}"#,
        options.bytes / 4,
        options.bytes
    );
    let mut body = header.clone().into_bytes();
    body.resize(header.len() + options.bytes, 0);
    http::Request::post(format!("/v2/models/{MODEL}/infer"))
        .header("host", &options.address)
        .header("inference-header-content-length", header.len())
        .body(Full::new(Bytes::from(body)))
        .context("the request is well formed")
}
