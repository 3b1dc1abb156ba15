//! Three servers, as processes, on one Redis: started, killed, started again; and somebody who calls them and tries
//! another one when one does not answer.

#![allow(clippy::disallowed_methods, reason = "a server that is killed stays away for a while")]

use crate::support::canaries::{scanner, without_time};
use crate::support::faults::seeded;
use crate::support::process::Process;
use crate::support::redis::free_port;
use crate::support::{SHOP, reason};
use idgate::config::{Settings, keys};
use idgate::terms::{Purpose, Scope};
use idgate::tokens::callers::{Mint, mint};
use idgate::tokens::files;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

/// The processes.
pub struct Servers {
    pub running: Vec<Server>,
    pub kills: u32,
}

pub struct Server {
    pub address: SocketAddr,
    file: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Server {
    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_idgate"));
        command.args(["serve", "--config"]).arg(&self.file).stdout(Stdio::null()).stderr(log);
        self.process = Some(Process::start(&mut command));
    }

    /// What it wrote that nobody should have to read.
    pub fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let bad = |line: &&str| line.contains("ERROR") || line.contains("panicked");
        log.lines().filter(bad).map(str::to_owned).collect()
    }

    /// What it wrote of people or of tokens, at the most verbose level; and how many lines it wrote.
    pub fn leaks(&self) -> (Vec<String>, usize) {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let leak = |line: &&str| scanner().tells(without_time(line)).is_some();
        (log.lines().filter(leak).map(str::to_owned).collect(), log.lines().count())
    }
}

impl Servers {
    /// Starts three with these settings, each with a copy of what lies in `keys_of` (but for a store).
    pub fn start(home: &Path, settings: &Settings) -> Self {
        let running = (0..3).map(|number| {
            let directory = home.join(format!("server-{number}"));
            copy(&settings.data_dir, &directory);
            let mut settings = Settings { data_dir: directory.clone(), ..settings.clone() };
            settings.server.listen.set_port(free_port());
            settings.server.admin.set_port(free_port());
            let file = home.join(format!("server-{number}.toml"));
            std::fs::write(&file, toml::to_string(&settings).unwrap()).unwrap();
            let log = home.join(format!("server-{number}.log"));
            let mut server = Server { address: settings.server.listen, file, log, process: None };
            server.start();
            server
        });
        Self { running: running.collect(), kills: 0 }
    }

    /// Kills one after the other until the time is over; all of them run afterwards.
    pub fn kill_until(mut self, end: Instant) -> JoinHandle<Self> {
        std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seeded() + 1);
            while Instant::now() < end {
                sleep(Duration::from_millis(random.u64(1_500..4_000)));
                let server = random.usize(0..self.running.len());
                let server = &mut self.running[server];
                assert!(server.process.as_mut().unwrap().runs(), "it ended by itself: {:?}", server.complaints());
                server.process = None;
                self.kills += 1;
                sleep(Duration::from_millis(random.u64(0..500)));
                server.start();
            }
            self
        })
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
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

/// Calls the servers.
pub struct Caller {
    channels: Vec<Channel>,
    bearer: String,
    /// When whoever asks again gives up.
    end: Instant,
    random: Mutex<fastrand::Rng>,
    /// What was answered that was no answer, and how often.
    pub refusals: Mutex<BTreeMap<String, u64>>,
}

impl Caller {
    pub fn new(servers: &Servers, settings: &Settings, end: Instant) -> Self {
        let key = files::load_key(&keys::caller_key(settings)).unwrap();
        let wanted = Mint {
            relying_party: SHOP.parse().unwrap(),
            audience: "idgate".to_owned(),
            scopes: Scope::ALL.to_vec(),
            purposes: vec![Purpose::DobExtraction],
            ttl: SignedDuration::from_hours(1),
        };
        let bearer = format!("Bearer {}", mint(&key, &wanted, Timestamp::now()).unwrap().as_str());
        // What every subject here is called, but for a random number.
        scanner().add("subject-");
        let channel = |server: &Server| {
            let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
            endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy()
        };
        Self {
            channels: servers.running.iter().map(channel).collect(),
            bearer,
            end,
            random: Mutex::new(fastrand::Rng::with_seed(seeded() + 2)),
            refusals: Mutex::default(),
        }
    }

    /// A random number below this.
    pub fn random(&self, below: usize) -> usize {
        self.random.lock().unwrap().usize(0..below)
    }

    /// A call's request, and the server that it goes to.
    pub fn to<Q>(&self, server: usize, message: Q) -> (Channel, Request<Q>) {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.parse().unwrap());
        (self.channels[server % self.channels.len()].clone(), request)
    }

    /// Asks one server once. `None` when there is no answer, for a reason that may pass.
    pub async fn once<Q, A, F>(
        &self,
        server: usize,
        message: Q,
        call: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<Option<A>, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (channel, mut request) = self.to(server, message);
        request.set_timeout(Duration::from_secs(4));
        let late = || Status::deadline_exceeded("the caller did not wait longer");
        let answer = tokio::time::timeout(Duration::from_secs(5), call(channel, request)).await;
        match answer.unwrap_or_else(|_| Err(late())) {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(status) => {
                let named = status.get_error_details().error_info().is_some();
                let name = if named { reason(&status) } else { "-".to_owned() };
                *self.refusals.lock().unwrap().entry(format!("{:?} {name}", status.code())).or_default() += 1;
                let passes = match status.code() {
                    Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::ResourceExhausted => true,
                    // A connection that was cut.
                    Code::Cancelled | Code::Unknown | Code::Internal => !named,
                    _ => false,
                };
                if passes { Ok(None) } else { Err(status) }
            }
        }
    }

    /// Asks one server after the other until one answers: the same request, so its answer is good wherever it comes from.
    pub async fn ask<Q: Clone, A, F>(&self, message: &Q, call: impl Fn(Channel, Request<Q>) -> F) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.ask_often(message, call).await.map(|(answer, _)| answer)
    }

    /// The same, and how often it was asked.
    pub async fn ask_often<Q: Clone, A, F>(
        &self,
        message: &Q,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<(A, u32), Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (mut server, mut times) = (self.random(3), 0);
        while Instant::now() < self.end {
            times += 1;
            if let Some(answer) = self.once(server, message.clone(), &call).await? {
                return Ok((answer, times));
            }
            server += 1;
            let wait = Duration::from_millis(20 + u64::try_from(self.random(200)).unwrap());
            tokio::time::sleep(wait).await;
        }
        Err(Status::deadline_exceeded("no server answered until the end"))
    }
}
