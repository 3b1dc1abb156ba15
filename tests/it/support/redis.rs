//! Real Redis servers for tests: each started on free ports in a directory of its own with the settings that we tell
//! operators to use, and ended with the test. Everything about a server is asked over its Unix socket.

#![allow(clippy::disallowed_methods, reason = "a server tells nobody when it has got somewhere")]

mod certificates;
mod install;
mod settings;
mod wire;

pub use certificates::private;
pub use wire::Reply;

use super::process::Process;
use certificates::Certificates;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a Sentinel calls the master.
pub const MASTER: &str = "idgate-master";
/// The password of the user that may do only what idgate needs.
pub const PASSWORD: &str = "only-for-tests";

/// The default user's password where there is another user.
const ADMINISTRATOR: &str = "only-for-tests-too";

/// The settings that are recommended, which every test server has.
const RECOMMENDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/redis.conf");

/// How servers stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Single,
    /// A single one with TLS on both sides, and a user with few rights.
    Secured,
    /// Three masters.
    Cluster,
    /// A master, two replicas, three Sentinels.
    Sentinel,
}

/// The servers of one test.
pub struct Redis {
    pub kind: Kind,
    pub nodes: Vec<Node>,
    pub sentinels: Vec<Node>,
    certificates: Option<Certificates>,
    home: TempDir,
}

/// One server, which may be down.
pub struct Node {
    pub port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Node {
    fn start(directory: PathBuf, port: u16, arguments: Vec<String>) -> Self {
        let mut node = Self { port, directory, arguments, process: None };
        node.start_again();
        node
    }

    /// Starts it where it lay, and waits until it answers.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let log = std::fs::File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let mut command = Command::new(install::program());
        command.args(&self.arguments).current_dir(&self.directory).stdout(log).stderr(Stdio::null());
        let mut process = Process::start(&mut command);
        self.wait_for("it answers", |node| {
            assert!(process.runs(), "Redis ended: {}", node.log());
            // While it loads its file it answers with an error.
            node.try_ask(&["PING"]).is_ok_and(|reply| reply.text() == "PONG")
        });
        self.process = Some(process);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Where its files lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// kill -9.
    pub fn kill(&mut self) {
        drop(self.process.take().expect("it runs"));
    }

    /// SIGTERM; it ends by itself.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").stop();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.process().pause();
    }

    pub fn resume(&self) {
        self.process().resume();
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// One command, as its administrator.
    pub fn try_ask(&self, words: &[&str]) -> std::io::Result<Reply> {
        let socket = self.directory.join("socket");
        match wire::ask(&socket, &[words])? {
            Reply::Error(error) if error.starts_with("NOAUTH") => {
                wire::ask(&socket, &[&["AUTH", ADMINISTRATOR], words])
            }
            reply => Ok(reply),
        }
    }

    /// A command that it must answer well.
    pub fn ask(&self, words: &[&str]) -> Reply {
        match self.try_ask(words).unwrap() {
            Reply::Error(error) => panic!("{}: {error}", words[0]),
            reply => reply,
        }
    }

    /// A line of INFO, or nothing when it does not answer.
    pub fn info(&self, name: &str) -> String {
        self.try_ask(&["INFO"]).map_or_else(|_| String::new(), |reply| reply.field(name).to_owned())
    }

    pub fn is_master(&self) -> bool {
        self.info("role") == "master"
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn wait_for(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        until(what, || holds(self));
    }
}

/// Waits until it holds; there is nothing to wake us, so it is looked at often.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not so within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on and that no connection gets by itself, told once.
pub fn free_port() -> u16 {
    static TOLD: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap();
    loop {
        // Below those that the system gives to connections, so that a server that is started again gets its port back.
        let port = fastrand::u16(10_000..32_000);
        if !told.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            told.insert(port);
            return port;
        }
    }
}

/// Where servers write. In memory if there is room: what a killed process wrote is there all the same, and tests do not
/// depend on how long a busy disk takes for each of their many changes.
fn home() -> TempDir {
    const MEMORY: &str = "/dev/shm";
    let room = rustix::fs::statvfs(MEMORY).map_or(0, |of| of.f_bavail.saturating_mul(of.f_frsize));
    if room > 1 << 30
        && let Ok(home) = TempDir::new_in(MEMORY)
    {
        return home;
    }
    TempDir::new().unwrap()
}

/// A server with the recommended settings and these lines. The file is its own: Sentinel has it written anew.
fn server(home: &Path, port: u16, lines: &[String]) -> Node {
    let directory = home.join(port.to_string());
    std::fs::create_dir_all(&directory).unwrap();
    let recommended = std::fs::read_to_string(RECOMMENDED).unwrap();
    let file = format!("{recommended}\nbind 127.0.0.1\nunixsocket socket\n{}\n", lines.join("\n"));
    std::fs::write(directory.join("redis.conf"), file).unwrap();
    Node::start(directory, port, vec!["redis.conf".to_owned()])
}

/// A server without TLS.
fn plain(home: &Path, lines: &[String]) -> Node {
    let port = free_port();
    server(home, port, &[&[format!("port {port}")], lines].concat())
}

/// The master need not have replicas.
fn alone() -> String {
    "min-replicas-to-write 0".to_owned()
}

impl Redis {
    /// One server.
    pub fn single() -> Self {
        let home = home();
        let node = plain(home.path(), &[alone()]);
        Self { kind: Kind::Single, nodes: vec![node], sentinels: Vec::new(), certificates: None, home }
    }

    /// One server that speaks TLS only, asks for a certificate, and knows one user with few rights.
    pub fn secured() -> Self {
        let home = home();
        let (made, port) = (Certificates::make(home.path()), free_port());
        let lines = [
            alone(),
            "port 0".to_owned(),
            format!("tls-port {port}"),
            format!("tls-ca-cert-file {}", made.ca.display()),
            format!("tls-cert-file {}", made.server.display()),
            format!("tls-key-file {}", made.server_key.display()),
            "tls-auth-clients yes".to_owned(),
            // Whoever gives no password may do nothing.
            format!("requirepass {ADMINISTRATOR}"),
        ];
        let node = server(home.path(), port, &lines);
        std::fs::write(home.path().join("password"), PASSWORD).unwrap();
        private(&home.path().join("password"));
        let redis =
            Self { kind: Kind::Secured, nodes: vec![node], sentinels: Vec::new(), certificates: Some(made), home };
        redis.give_password();
        redis
    }

    /// The file of settings names no password; to be said again after a start.
    pub fn give_password(&self) {
        self.nodes[0].ask(&["ACL", "SETUSER", "idgate", &format!(">{PASSWORD}")]);
    }

    /// Three masters that share the slots.
    pub fn cluster() -> Self {
        let home = home();
        let nodes: Vec<(Node, String)> = (0..3)
            .map(|_| {
                let bus = free_port().to_string();
                let lines = [
                    alone(),
                    "cluster-enabled yes".to_owned(),
                    "cluster-node-timeout 2000".to_owned(),
                    format!("cluster-port {bus}"),
                ];
                (plain(home.path(), &lines), bus)
            })
            .collect();
        let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for (number, ((node, _), (from, to))) in nodes.iter().zip(slots).enumerate() {
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
        }
        for (node, bus) in &nodes[1..] {
            nodes[0].0.ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), bus]);
        }
        let nodes: Vec<Node> = nodes.into_iter().map(|(node, _)| node).collect();
        let redis = Self { kind: Kind::Cluster, nodes, sentinels: Vec::new(), certificates: None, home };
        redis.until_well();
        redis
    }

    /// A master, two replicas and three Sentinels, which are patient until [`Self::impatient`].
    pub fn sentinel() -> Self {
        let home = home();
        let quick = ["repl-diskless-sync-delay 0".to_owned(), "repl-timeout 5".to_owned()];
        let master = plain(home.path(), &quick);
        let to = format!("replicaof 127.0.0.1 {}", master.port);
        let replicas = [(); 2].map(|()| plain(home.path(), &[&quick[..], std::slice::from_ref(&to)].concat()));
        let nodes: Vec<Node> = [master].into_iter().chain(replicas).collect();
        let sentinels = (0..3).map(|_| sentinel(home.path(), nodes[0].port)).collect();
        let redis = Self { kind: Kind::Sentinel, nodes, sentinels, certificates: None, home };
        redis.until_well();
        redis
    }

    /// From now on a master that does not answer for a second is replaced.
    pub fn impatient(&self) {
        for sentinel in &self.sentinels {
            let settings = ["down-after-milliseconds", "1000", "failover-timeout", "3000"];
            sentinel.ask(&[&["SENTINEL", "SET", MASTER][..], &settings].concat());
        }
    }

    /// How often Sentinels ask and tell; four times that is how long they leave a master alone that they have replaced.
    /// Redis' own figures are 10 and 2 seconds.
    pub fn sentinels_look_every(&self, asked: Duration, told: Duration) {
        let (asked, told) = (asked.as_millis().to_string(), told.as_millis().to_string());
        for sentinel in &self.sentinels {
            sentinel.ask(&["SENTINEL", "DEBUG", "INFO-PERIOD", &asked, "PUBLISH-PERIOD", &told]);
        }
    }

    /// Waits until all servers work together.
    pub fn until_well(&self) {
        match self.kind {
            Kind::Single | Kind::Secured => {}
            Kind::Cluster => until("the cluster is whole", || self.nodes.iter().all(whole)),
            Kind::Sentinel => {
                until("one is the master of two replicas in step", || {
                    let masters: Vec<&Node> = self.nodes.iter().filter(|node| node.is_master()).collect();
                    masters.len() == 1 && self.nodes.iter().all(|node| in_step(node, masters[0]))
                });
                until("every Sentinel knows all", || self.sentinels.iter().all(|sentinel| self.knows_all(sentinel)));
            }
        }
    }

    /// Whether a Sentinel knows the others, both replicas and the master that is one.
    fn knows_all(&self, sentinel: &Node) -> bool {
        let seen = sentinel.info("master0");
        let master = self.nodes.iter().find(|node| node.is_master()).map_or(0, |node| node.port);
        let told = format!("name={MASTER},status=ok,address=127.0.0.1:{master},slaves=2,sentinels=3");
        seen == told
    }

    /// Which node is the master now (the first of those that believe it).
    pub fn master(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.runs() && node.is_master())
    }

    /// Makes a replica the master, by the Sentinels.
    pub fn fail_over(&self) {
        until("a Sentinel fails over", || {
            let answer = self.sentinels[0].try_ask(&["SENTINEL", "FAILOVER", MASTER]);
            answer.is_ok_and(|answer| answer.text() == "OK")
        });
    }

    /// Where clients connect to.
    pub fn urls(&self) -> Vec<String> {
        let (scheme, of) = match self.kind {
            Kind::Single => ("redis", &self.nodes),
            Kind::Secured => ("rediss", &self.nodes),
            Kind::Cluster => ("redis", &self.nodes),
            Kind::Sentinel => ("redis", &self.sentinels),
        };
        of.iter().map(|node| format!("{scheme}://127.0.0.1:{}", node.port)).collect()
    }
}

fn whole(node: &Node) -> bool {
    node.try_ask(&["CLUSTER", "INFO"]).is_ok_and(|reply| {
        reply.field("cluster_state") == "ok"
            && reply.field("cluster_known_nodes") == "3"
            && reply.field("cluster_slots_ok") == "16384"
    })
}

/// Whether a node is this master, with two replicas, or a replica of it that has everything.
fn in_step(node: &Node, master: &Node) -> bool {
    if node.port == master.port {
        return ["slave0", "slave1"].iter().all(|name| master.info(name).contains("state=online"));
    }
    node.info("master_port") == master.port.to_string() && node.info("master_link_status") == "up"
}

fn sentinel(home: &Path, master: u16) -> Node {
    let port = free_port();
    let directory = home.join(port.to_string());
    std::fs::create_dir_all(&directory).unwrap();
    // It writes what it learns into its file.
    let lines = [
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        "unixsocket socket".to_owned(),
        format!("sentinel monitor {MASTER} 127.0.0.1 {master} 2"),
        format!("sentinel down-after-milliseconds {MASTER} 15000"),
        format!("sentinel failover-timeout {MASTER} 15000"),
    ];
    std::fs::write(directory.join("sentinel.conf"), lines.join("\n")).unwrap();
    Node::start(directory, port, ["sentinel.conf", "--sentinel"].map(str::to_owned).to_vec())
}
