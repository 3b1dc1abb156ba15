//! A fresh world for each test: a real server on a free port, with a store of its own and a scripted reader.

pub mod canaries;
mod consent;
pub mod disposal;
pub mod faults;
pub mod frames;
mod jwks;
pub mod process;
mod receiver;
pub mod redis;
pub mod rights;
mod script;
mod store;
pub mod tls;

pub use consent::{Asked, TurnedClock, kinds, purposes};
pub use jwks::KeyServer;
pub use receiver::{Post, Receiver};
pub use script::Script;
pub use store::Wilful;

use idgate::config::{self, OpenError, Settings, keys};
use idgate::flows::App;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::document_service_client::DocumentServiceClient;
use idgate::server::proto::{self, CheckAgeRequest, CheckAgeResponse, check_age_request::Evidence};
use idgate::server::{self, ServeError};
use idgate::store::embedded;
use idgate::terms::{Purpose, Scope};
use idgate::tokens::callers::{Mint, mint};
use idgate::tokens::files;
use jiff::{SignedDuration, Timestamp};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// The relying party of most tests.
pub const SHOP: &str = "shop";

pub struct World {
    pub settings: Settings,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub script: Arc<Script>,
    pub channel: Channel,
    pub app: Arc<App>,
    directory: TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), ServeError>>,
    watch: canaries::Watch,
}

impl World {
    /// A server as it is without a configuration.
    pub async fn start() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// A server with other settings, or other parts.
    pub async fn with(set: impl FnOnce(&mut Settings), alter: impl FnOnce(&mut App)) -> Self {
        canaries::scanner();
        let directory = TempDir::new().unwrap();
        let mut settings = Settings::load(None).unwrap();
        settings.data_dir = directory.path().join("data");
        settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.server.admin = settings.server.listen;
        // Tests look at timers themselves.
        settings.server.timer_seconds = 0;
        // The whole suite on a Redis that is there, each world under a namespace of its own.
        if let Ok(url) = std::env::var("IDGATE_TEST_STORE") {
            settings.store.redis.urls = vec![url];
            settings.store.redis.namespace = uuid::Uuid::new_v4().simple().to_string();
        }
        // Most tests have no load balancer to tell.
        settings.server.drain_notice_seconds = 0;
        set(&mut settings);
        let script = Arc::new(Script::default());
        let mut app = config::open(&settings, Arc::clone(&script).reader()).unwrap();
        alter(&mut app);
        Self::serve(directory, settings, script, app).await
    }

    /// The same place with a new server, once the old one has ended.
    pub async fn restart(mut self, alter: impl FnOnce(&mut App)) -> Self {
        self.stop();
        (&mut self.serving).await.unwrap().unwrap();
        self.again(alter).await
    }

    /// The same place with a new server, after the old one was cut off wherever it was.
    pub async fn crash(mut self, alter: impl FnOnce(&mut App)) -> Self {
        self.serving.abort();
        assert!((&mut self.serving).await.unwrap_err().is_cancelled());
        self.again(alter).await
    }

    /// The same place with a new server that has other settings, once the old one has ended and `between` has done its part
    /// with the data directory.
    pub async fn moved(mut self, set: impl FnOnce(&mut Settings), between: impl FnOnce(&Path)) -> Self {
        self.stop();
        (&mut self.serving).await.unwrap().unwrap();
        let Self { mut settings, script, channel, app, directory, .. } = self;
        drop((channel, app));
        // The old store closes when the last task lets go of it.
        let lock = std::fs::File::open(settings.data_dir.join("store/lock")).unwrap();
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        drop(lock);
        between(&settings.data_dir);
        set(&mut settings);
        let app = config::open(&settings, Arc::clone(&script).reader()).unwrap();
        Self::serve(directory, settings, script, app).await
    }

    async fn again(self, alter: impl FnOnce(&mut App)) -> Self {
        let Self { settings, script, channel, app, directory, .. } = self;
        drop((channel, app));
        let mut app = loop {
            // The old store closes when the last task lets go of it.
            match config::open(&settings, Arc::clone(&script).reader()) {
                Ok(app) => break app,
                Err(OpenError::Store(_, embedded::OpenError::InUse)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        alter(&mut app);
        Self::serve(directory, settings, script, app).await
    }

    async fn serve(directory: TempDir, settings: Settings, script: Arc<Script>, app: App) -> Self {
        let app = Arc::new(app);
        let watch = canaries::Watch(Arc::clone(&app.metrics));
        let bound = server::bind(settings.server.clone(), Arc::clone(&app)).await.unwrap();
        let (address, admin) = (bound.address().unwrap(), bound.admin_address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.run(async move { drop(stopped.await) }));
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        // Tests with TLS make their own.
        let channel = match settings.server.tls.used() {
            true => endpoint.connect_lazy(),
            false => endpoint.connect().await.unwrap(),
        };
        Self { settings, address, admin, script, channel, app, directory, stop: Some(stop), serving, watch }
    }

    /// A second server on the same store, with the same keys and secrets.
    pub async fn replica(&self, alter: impl FnOnce(&mut App)) -> Self {
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap();
                match path.is_dir() {
                    true if name == "store" => {}
                    true => copy(&path, &to.join(name)),
                    false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
                }
            }
        }
        let directory = TempDir::new().unwrap();
        copy(&self.settings.data_dir, &directory.path().join("data"));
        let (store, settings) = (Arc::clone(&self.app.store), self.settings.clone());
        let data_dir = directory.path().join("data");
        let settings = Settings { data_dir, ..settings };
        let script = Arc::new(Script::default());
        let mut app = config::open(&settings, Arc::clone(&script).reader()).unwrap();
        app.store = store;
        alter(&mut app);
        Self::serve(directory, settings, script, app).await
    }

    /// Where everything lies that the server writes.
    pub fn data(&self) -> &Path {
        self.directory.path()
    }

    /// Tells the server to stop.
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has ended.
    pub async fn ended(self) -> Result<(), ServeError> {
        let Self { serving, watch, .. } = self;
        let ended = serving.await.unwrap();
        drop(watch);
        ended
    }

    pub fn age_gate(&self) -> AgeGateServiceClient<Channel> {
        AgeGateServiceClient::new(self.channel.clone())
    }

    pub fn documents(&self) -> DocumentServiceClient<Channel> {
        DocumentServiceClient::new(self.channel.clone())
    }

    /// A bearer token for another audience, party, scopes or purposes.
    pub fn bearer(&self, audience: &str, party: &str, scopes: &[Scope], purposes: &[Purpose]) -> String {
        let key = files::load_key(&keys::caller_key(&self.settings)).unwrap();
        let wanted = Mint {
            relying_party: party.parse().unwrap(),
            audience: audience.to_owned(),
            scopes: scopes.to_vec(),
            purposes: purposes.to_vec(),
            ttl: SignedDuration::from_hours(12),
        };
        format!("Bearer {}", mint(&key, &wanted, self.app.now()).unwrap().as_str())
    }

    /// The request with a token that opens everything, for this relying party.
    pub fn authorized<T: prost::Message>(&self, party: &str, message: T) -> Request<T> {
        canaries::scanner().add_message(&message.encode_to_vec());
        self.authorized_stream(party, message)
    }

    /// The same for a stream of messages, or for anything else.
    pub fn authorized_stream<T>(&self, party: &str, message: T) -> Request<T> {
        let bearer = self.bearer("idgate", party, Scope::ALL, &[Purpose::DobExtraction]);
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        request
    }

    /// Checks an age as the shop.
    pub async fn check(&self, ask: CheckAgeRequest) -> Result<CheckAgeResponse, Status> {
        self.check_as(SHOP, ask).await
    }

    /// Checks an age. Every answer to a picture must have the receipt of this picture, which is taken out: it is new each
    /// time. A refusal has one if the picture was taken at all.
    pub async fn check_as(&self, party: &str, ask: CheckAgeRequest) -> Result<CheckAgeResponse, Status> {
        let picture = match &ask.evidence {
            Some(Evidence::Image(picture)) => Some(picture.clone()),
            _ => None,
        };
        let answer = self.age_gate().check_age(self.authorized(party, ask)).await;
        let answer = answer.map(|response| response.into_inner());
        let receipt = match &answer {
            Ok(answer) => answer.disposal.clone(),
            Err(status) => disposal::receipt_in(status),
        };
        match (&picture, &receipt) {
            (Some(picture), Some(receipt)) => drop(disposal::claims_of(&self.app, party, picture, receipt)),
            (picture, None) => {
                assert!(picture.is_none() || answer.is_err(), "an answer to a picture without a receipt")
            }
            (None, Some(_)) => panic!("a receipt without a picture"),
        }
        answer.map(|answer| CheckAgeResponse { disposal: None, ..answer })
    }

    /// Every byte of every file that the server wrote, and its files' names.
    pub fn everything_written(&self) -> Vec<u8> {
        fn collect(directory: &Path, into: &mut Vec<u8>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                into.extend(path.file_name().unwrap().as_encoded_bytes());
                match path.is_dir() {
                    true => collect(&path, into),
                    false => into.extend(std::fs::read(&path).unwrap()),
                }
            }
        }
        let mut bytes = Vec::new();
        collect(self.data(), &mut bytes);
        bytes
    }

    /// Plain HTTP from the admin port: the status line's code and the body.
    pub async fn http(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// A request to check what the picture shows, in Korea, for signing up.
pub fn ask(subject: &str, key: &str, image: &str) -> CheckAgeRequest {
    CheckAgeRequest {
        subject_ref: subject.to_owned(),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: key.to_owned(),
        language: String::new(),
        evidence: Some(Evidence::Image(image.as_bytes().to_vec())),
    }
}

/// The closed reason of a status.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "idgate");
    info.reason.clone()
}

/// That a status has this code and reason and says when to try again.
pub fn assert_retry_later(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, why), "{}", status.message());
    let delay = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert!(!delay.is_zero());
}

/// Today's date in Korea, `years` ago, moved by `days`.
pub fn born(years: i16, days: i64) -> String {
    let today = Timestamp::now().in_tz("Asia/Seoul").unwrap().date();
    let span = SignedDuration::from_hours(24 * days);
    let year = today.year() - years;
    let day = jiff::civil::Date::new(year, today.month(), today.day().min(28)).unwrap();
    day.checked_add(span).unwrap().to_string()
}

/// What a token says, unverified.
pub fn claims(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
