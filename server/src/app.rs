//! The composition root: the only file that knows every part.
//!
//! [`App::start`] builds the parts in the order they need each other and binds the ports; [`App::shut_down`] lets go of
//! them in the opposite order. Everything that is spawned here is waited for there. None of it may end before:
//! [`App::lost`] tells when something does, and [`run`] then ends the process in good order, for somebody to start it
//! again. A server that lost its reconciler would go on answering and never follow a revert.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{Port, Readiness, Settings, WatchTask};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::bringup::Bringup;
use crate::catalog::{Catalog, ReadinessRule};
use crate::cluster::{Place, Reporter};
use crate::device::{Device, DeviceError};
use crate::feed;
use crate::front::admin::{self, AdminOptions};
use crate::front::guard::Token;
use crate::front::listen::{Drained, ListenOptions, Listener, Protocol};
use crate::front::secured::Secured;
use crate::front::{self, AccessLog, Budget, Front, Limits};
use crate::infer::Inference;
use crate::keep;
use crate::rollout::reconcile::Parts;
use crate::rollout::{DesiredModels, MemoryDir, Reconciler, RolloutHandle};
use crate::route;
use crate::shutdown::{self, Grace, Lifecycle};
use crate::store::{Store, StoreError, StoreOptions};
use crate::tasks::{Ended, Tasks};
use crate::telemetry::Metrics;
use crate::telemetry::front::FrontCollector;
use crate::telemetry::rollout::RolloutCollector;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or forbidden.
    #[error("{flag} {address}: {source}; choose another address with {flag} HOST:PORT")]
    Bind {
        /// The setting.
        flag: &'static str,
        /// As given.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The cache folder cannot be used.
    #[error("--cache: {0}")]
    Store(#[from] StoreError),
    /// The token file cannot be read.
    #[error("--admin-token-file {path}: {source}", path = .path.display())]
    AdminToken {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The token file holds nothing that can be a token.
    #[error("--admin-token-file {path}: the file is empty; write the token into it", path = .path.display())]
    AdminTokenEmpty {
        /// As given.
        path: PathBuf,
    },
    /// A certificate, its key or the access file cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// The device that was asked for cannot be had.
    #[error("{0}")]
    Device(String),
    /// The system refused a thread or a signal handler.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// What a running server lost and cannot be without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// A task that runs as long as the process.
    #[error("the server's task `{}` {}; the log before this says why", .0.task, if .0.panicked { "panicked" } else { "ended" })]
    Task(Ended),
    /// The device, or its thread.
    #[error("device {name} is lost: {reason}")]
    Device {
        /// Its name in status and logs.
        name: String,
        /// What ended it.
        reason: String,
    },
}

/// Why [`run`] did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It could not go on.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// OIP V2 and V1 over HTTP.
    pub http: SocketAddr,
    /// OIP V2 over gRPC.
    pub grpc: SocketAddr,
    /// Metrics, status, verbs.
    pub admin: SocketAddr,
}

/// A running server.
pub struct App {
    addresses: Addresses,
    lifecycle: Lifecycle,
    grace: Grace,
    catalog: Catalog,
    rollout: RolloutHandle,
    draining: CancellationToken,
    stop_serving: CancellationToken,
    stop_rollout: CancellationToken,
    stop_admin: CancellationToken,
    device: Device,
    serving: Tasks,
    background: Tasks,
    watches: Vec<WatchTask>,
    /// Held so that the feed does not end with the reconciler.
    _desired: watch::Receiver<Arc<DesiredModels>>,
}

impl App {
    /// Builds everything, binds the ports and starts to serve. Returns before any model is up.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let place = settings.status_configmap.as_ref().and_then(|_| cluster());
        Self::start_in(place, settings).await
    }

    /// The same in a cluster that is not found but given.
    pub async fn start_in(place: Option<Place>, settings: Settings) -> Result<Self, StartError> {
        // What can be wrong with the settings comes first, so that a refused start leaves nothing behind.
        let token = settings.admin_token_file.as_ref().map(read_token).transpose()?;
        let secured = Secured::load(&settings, token).map_err(StartError::Credentials)?;
        let ports = Ports::bind(&settings, &secured).await?;
        let loading = Background::start()?;
        let device = start_device(&settings, loading.clone()).await?;
        let metrics = Arc::new(Metrics::new(&device));
        let store = Store::open(store_options(&settings)).await?;
        let lifecycle = Lifecycle::default();
        let (routes, publisher) = route::routes();
        let (desired, watches, feed) = watch_values(&settings);
        let stop_rollout = CancellationToken::new();
        let memory = MemoryDir::new(settings.cache.join("rollout"));
        let (reconciler, rollout) = Reconciler::new(Parts {
            stager: Bringup::new(Arc::clone(&store), device.clone(), loading, Arc::clone(&metrics)),
            routes: publisher,
            memory: memory.clone(),
            desired: desired.clone(),
            jitter: Box::new(rand::random::<f64>),
            shutdown: stop_rollout.clone(),
        });
        metrics.register(Box::new(RolloutCollector::new(rollout.status())));
        metrics.register(Box::new(FrontCollector::new(secured.seen())));
        let catalog = Catalog::new(routes.clone(), lifecycle.clone(), readiness(&settings.readiness));
        let inference = Inference::new(routes, settings.requests_max, lifecycle.clone(), Arc::clone(&metrics));

        let mut background = Tasks::default();
        background.spawn("feed", feed);
        let (kept, stopping) = (keep::protect(store, memory.last_known_good(), rollout.status()), stop_rollout.clone());
        // It ends with the reconciler, whose end is the news then.
        background.spawn("keep", async move {
            kept.await;
            stopping.cancelled().await;
        });
        background.spawn("reconcile", reconciler.run());
        if let (Some(place), Some(configmap)) = (place, &settings.status_configmap) {
            let jitter = Box::new(rand::random::<f64>);
            let reporter = Reporter::new(&place, configmap, metrics.annotations.clone(), jitter);
            background.spawn("cluster", reporter.run(rollout.status(), stop_rollout.clone()));
        }
        let (draining, stop_serving) = (CancellationToken::new(), CancellationToken::new());
        let stop_admin = CancellationToken::new();
        let limits = limits(&settings);
        let front = Front {
            inference,
            catalog: catalog.clone(),
            budget: Budget::new(&limits),
            limits,
            guard: secured.serving(),
            access: AccessLog::one_in(one_in(settings.access_log_sample)),
            draining: draining.clone(),
            closing: stop_serving.clone(),
        };
        let exposition = Arc::new(move || metrics.exposition());
        let admin = AdminOptions {
            rollout: rollout.clone(),
            catalog: catalog.clone(),
            metrics: exposition,
            device: device.about().clone(),
            guard: secured.admin(),
        };
        background.spawn("credentials", secured.follow(settings.watch_interval, stop_admin.clone()));
        let addresses = ports.addresses();
        let mut serving = Tasks::default();
        ports.serve(front.shared(), admin, &mut serving, &mut background, &stop_serving, &stop_admin);
        let grace = Grace { not_ready_wait: settings.not_ready_wait, period: settings.grace_period };
        Ok(Self {
            addresses,
            lifecycle,
            grace,
            catalog,
            rollout,
            draining,
            stop_serving,
            stop_rollout,
            stop_admin,
            device,
            serving,
            background,
            watches,
            _desired: desired,
        })
    }

    /// Where it listens; port 0 is resolved.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it serves.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Verbs and status.
    #[must_use]
    pub const fn rollout(&self) -> &RolloutHandle {
        &self.rollout
    }

    /// Returns when something ended that must not while the server runs.
    pub async fn lost(&mut self) -> Lost {
        let ended = tokio::select! {
            () = self.device.gone() => return lost(&self.device),
            ended = self.serving.ended() => ended,
            ended = self.background.ended() => ended,
        };
        Lost::Task(ended)
    }

    /// Not ready, then drained, then gone: false when the grace period ended first.
    pub async fn shut_down(mut self) -> bool {
        self.stop_rollout.cancel();
        self.draining.cancel();
        let lifecycle = self.lifecycle.clone();
        let stop_serving = self.stop_serving.clone();
        let drained = async {
            stop_serving.cancel();
            self.serving.all_ended().await;
        };
        let in_time = lifecycle.shut_down(self.grace, drained).await;
        // The admin port stays to the end, so that the last metrics can be read.
        self.stop_admin.cancel();
        for watch in self.watches {
            watch.stop().await;
        }
        let ended = tokio::time::timeout(BACKGROUND_STOP_MAX, self.background.all_ended()).await.is_ok();
        // With the last of the routes go the last of the models.
        drop((self.catalog, self.rollout));
        let _left_to_the_driver = tokio::time::timeout(BACKGROUND_STOP_MAX, self.device.close()).await;
        ended && in_time
    }
}

/// How long tasks without callers may take to end.
const BACKGROUND_STOP_MAX: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT, or until it cannot go on; `started` is told where. Either way it drains.
pub async fn run(settings: Settings, started: impl FnOnce(&App)) -> Result<(), RunError> {
    let signal = shutdown::signal().map_err(StartError::System)?;
    let mut app = App::start(settings).await?;
    started(&app);
    let ended = tokio::select! {
        signal = signal => {
            tracing::info!(signal, "shutting down");
            Ok(())
        }
        lost = app.lost() => {
            tracing::error!(%lost, "shutting down, the server cannot go on");
            Err(lost.into())
        }
    };
    if !app.shut_down().await {
        tracing::warn!("the grace period ended before every request did");
    }
    ended
}

struct Ports {
    http: Listener,
    grpc: Listener,
    admin: Listener,
}

impl Ports {
    async fn bind(settings: &Settings, secured: &Secured) -> Result<Self, StartError> {
        let bind = async |flag, address, port, protocol| {
            let options = listen_options(settings, protocol);
            let bound = Listener::bind(address, options).await;
            let listener = bound.map_err(|source| StartError::Bind { flag, address, source })?;
            Ok::<_, StartError>(listener.with_tls(secured.tls(port)))
        };
        Ok(Self {
            http: bind("--http", settings.http, Port::Http, Protocol::Http).await?,
            grpc: bind("--grpc", settings.grpc, Port::Grpc, Protocol::Grpc).await?,
            admin: bind("--admin", settings.admin, Port::Admin, Protocol::Http).await?,
        })
    }

    fn addresses(&self) -> Addresses {
        Addresses { http: self.http.local_addr(), grpc: self.grpc.local_addr(), admin: self.admin.local_addr() }
    }

    fn serve(
        self,
        front: Arc<Front>,
        admin: AdminOptions,
        serving: &mut Tasks,
        background: &mut Tasks,
        stop_serving: &CancellationToken,
        stop_admin: &CancellationToken,
    ) {
        let (http, grpc) = (front::http::service(Arc::clone(&front)), front::grpc::service(front));
        let (stop_http, stop_grpc, stop_admin) = (stop_serving.clone(), stop_serving.clone(), stop_admin.clone());
        serving.spawn("http", async move { ended("http", self.http.serve(http, stop_http).await) });
        serving.spawn("grpc", async move { ended("grpc", self.grpc.serve(grpc, stop_grpc).await) });
        let admin = admin::service(admin);
        background.spawn("admin", async move { ended("admin", self.admin.serve(admin, stop_admin).await) });
    }
}

fn ended(port: &'static str, drained: Drained) {
    tracing::debug!(port, cut = drained.cut, "port is closed");
}

fn listen_options(settings: &Settings, protocol: Protocol) -> ListenOptions {
    let defaults = ListenOptions::new(protocol);
    ListenOptions {
        connection_age_max: settings.connection_age_max,
        connection_age_jitter: settings.connection_age_jitter,
        keep_alive_interval: settings.keepalive,
        drain_timeout: settings.grace_period,
        ..defaults
    }
}

async fn start_device(settings: &Settings, background: Background) -> Result<Device, StartError> {
    let started = Device::start(settings.device, settings.allow_simulated_device, background).await;
    let device = started.map_err(|error| match error {
        DeviceError::Refused(why) => StartError::Device(why),
        DeviceError::System(error) => StartError::System(error),
    })?;
    let about = device.about();
    let (device_name, simulated) = (about.model.as_deref().unwrap_or_default(), about.simulated);
    let reason = about.reason.as_deref().unwrap_or_default();
    if simulated {
        tracing::warn!(device = about.name, device_name, "the device is simulated: for tests only");
    } else {
        tracing::info!(device = about.name, device_name, reason, "models run there");
    }
    Ok(device)
}

fn lost(device: &Device) -> Lost {
    let reason = device.fault().unwrap_or_else(|| "its thread ended; the log before this says why".to_owned());
    Lost::Device { name: device.name().to_owned(), reason }
}

fn store_options(settings: &Settings) -> StoreOptions {
    StoreOptions::new(settings.cache.clone(), settings.cache_bytes_max)
}

/// Where annotations are written. A server that cannot tell anybody serves all the same.
fn cluster() -> Option<Place> {
    let found = Place::of_this_process();
    found.inspect_err(|error| tracing::warn!(%error, "--status-configmap has no effect")).ok()
}

type Feed = futures::future::BoxFuture<'static, ()>;

fn watch_values(settings: &Settings) -> (watch::Receiver<Arc<DesiredModels>>, Vec<WatchTask>, Feed) {
    let (sources, tasks) = settings.watches().map(config::watch).unzip();
    let (sender, desired) = watch::channel(Arc::default());
    (desired, tasks, Box::pin(feed::run(sources, sender)))
}

fn readiness(rule: &Readiness) -> ReadinessRule {
    match rule {
        Readiness::All => ReadinessRule::All,
        Readiness::Any => ReadinessRule::Any,
        Readiness::Models(names) => ReadinessRule::Models(names.iter().map(ToString::to_string).collect()),
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        body_bytes: settings.http_body_bytes_max,
        message_bytes: settings.grpc_message_bytes_max,
        inflated_bytes: settings.inflated_bytes_max,
        ..Limits::default()
    }
}

/// A share of requests as "one in so many"; 0 is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share above 0 has a reciprocal that saturates"
)]
fn one_in(share: f64) -> u32 {
    if share > 0.0 { (1.0 / share).round() as u32 } else { 0 }
}

fn read_token(path: &PathBuf) -> Result<Token, StartError> {
    let text = std::fs::read_to_string(path).map_err(|source| StartError::AdminToken { path: path.clone(), source })?;
    Token::new(&text).ok_or_else(|| StartError::AdminTokenEmpty { path: path.clone() })
}

/// Every named point at which a test may abort the process.
#[must_use]
pub fn fail_points() -> Vec<&'static str> {
    [crate::store::FAIL_POINTS, crate::bringup::FAIL_POINTS, crate::rollout::FAIL_POINTS].concat()
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
