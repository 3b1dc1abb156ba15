//! From settings to connections: one server, Sentinel, or a Cluster; in the clear or with TLS.

use super::{OpenError, Settings, Topology};
use crate::secret::Sensitive;
use crate::source::Source;
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo};
use redis::{IntoConnectionInfo as _, Pipeline, RedisResult, TlsCertificates, TlsMode, Value};
use std::path::Path;
use std::time::Duration;

/// Knows where the servers are and how to get at them.
pub(super) struct Connector {
    way: Way,
    config: AsyncConnectionConfig,
}

enum Way {
    Single(Box<Client>),
    // Its calls need it alone; only the one task that keeps the connections makes them.
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

/// A connection that any number of calls share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends one command to whoever holds a slot.
    pub(super) async fn send(&mut self, command: &Cmd, slot: u16) -> RedisResult<Value> {
        let value = match self {
            Self::One(connection) => connection.send_packed_command(command).await?,
            Self::Cluster(cluster) => {
                cluster.route_command(command.clone(), RoutingInfo::SingleNode(master(slot))).await?
            }
        };
        value.extract_error()
    }

    /// Sends commands one behind the other on one connection to whoever holds a slot.
    pub(super) async fn send_all(&mut self, commands: Pipeline, slot: u16) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        let values = match self {
            Self::One(connection) => connection.send_packed_commands(&commands, 0, count).await?,
            Self::Cluster(cluster) => cluster.route_pipeline(commands, 0, count, master(slot)).await?,
        };
        values.into_iter().map(Value::extract_error).collect()
    }
}

fn master(slot: u16) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master))
}

impl Connector {
    /// Reads the settings and the files that they name. Connects to nothing.
    pub(super) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let answer = settings.longest();
        let connect = Duration::from_millis(settings.connect_ms.into());
        // Whoever waits for an answer sets its own bound (`Calls`, and the task that keeps the connections).
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(connect)).set_response_timeout(None);
        let account = Account::read(&settings.username, &settings.password)?;
        let certificates = certificates(settings)?;
        let infos = settings.urls.iter().map(|url| info(url, &account)).collect::<Result<Vec<_>, _>>()?;
        let first = infos.first().ok_or(OpenError::Url)?.clone();
        let way = match settings.topology {
            Topology::Single if infos.len() > 1 => return Err(OpenError::Topology),
            Topology::Single => Way::Single(Box::new(match (&certificates, tls(&first)) {
                (Some(certificates), true) => Client::build_with_tls(first, certificates.clone())?,
                (None, true) | (_, false) => Client::open(first)?,
            })),
            Topology::Cluster => {
                let mut builder = ClusterClientBuilder::new(infos)
                    // A change whose answer was lost may have been made; sending it again is not for this layer.
                    .retries(0)
                    .connection_timeout(connect)
                    .response_timeout(answer)
                    .overall_response_timeout(Some(answer))
                    .tcp_settings(tcp());
                if let (Some(certificates), true) = (certificates, tls(&first)) {
                    builder = builder.certs(certificates);
                }
                Way::Cluster(Box::new(builder.build()?))
            }
            Topology::Sentinel => {
                Way::Sentinel(Box::new(tokio::sync::Mutex::new(sentinel(settings, &infos, &account, certificates)?)))
            }
        };
        Ok(Self { way, config })
    }

    /// Opens as many connections; all of them lead to the same server (or Cluster).
    pub(super) async fn connect(&self, count: usize) -> RedisResult<Vec<Connection>> {
        let mut connections = Vec::with_capacity(count);
        let found;
        let client = match &self.way {
            Way::Single(client) => client,
            Way::Sentinel(sentinel) => {
                found = sentinel.lock().await.async_get_client().await?;
                &found
            }
            Way::Cluster(cluster) => {
                for _ in 0..count {
                    connections.push(Connection::Cluster(cluster.get_async_connection().await?));
                }
                return Ok(connections);
            }
        };
        for _ in 0..count {
            let connection = client.get_multiplexed_async_connection_with_config(&self.config).await?;
            connections.push(Connection::One(connection));
        }
        Ok(connections)
    }

    /// Where Sentinel says that the master is; `None` where there is no Sentinel.
    pub(super) async fn master(&self) -> RedisResult<Option<String>> {
        let Way::Sentinel(sentinel) = &self.way else { return Ok(None) };
        let client = sentinel.lock().await.async_get_client().await?;
        Ok(Some(client.get_connection_info().addr().to_string()))
    }

    /// Whether the slots may lie on different servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }
}

/// An ACL user, or nobody.
struct Account {
    username: String,
    password: Option<Sensitive<Vec<u8>>>,
}

impl Account {
    fn read(username: &str, password: &Source) -> Result<Self, OpenError> {
        let password = if password.is_unset() { None } else { Some(secret(password)?) };
        Ok(Self { username: username.to_owned(), password })
    }

    fn password(&self) -> Result<Option<&str>, OpenError> {
        let Some(bytes) = &self.password else { return Ok(None) };
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| OpenError::Password)?;
        Ok(Some(text.trim_end_matches(['\r', '\n'])))
    }
}

fn secret(source: &Source) -> Result<Sensitive<Vec<u8>>, OpenError> {
    source.read().map_err(|error| OpenError::Secret(source.clone(), error))
}

fn info(url: &str, account: &Account) -> Result<ConnectionInfo, OpenError> {
    let info = url.into_connection_info().map_err(|_| OpenError::Url)?;
    if matches!(info.addr(), ConnectionAddr::Unix(_)) {
        return Err(OpenError::Url);
    }
    let mut redis = info.redis_settings().clone();
    if !account.username.is_empty() {
        redis = redis.set_username(&account.username);
    }
    if let Some(password) = account.password()? {
        redis = redis.set_password(password);
    }
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp()))
}

/// Small packets leave at once: each call waits for its answer.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn sentinel(
    settings: &Settings,
    infos: &[ConnectionInfo],
    account: &Account,
    certificates: Option<TlsCertificates>,
) -> Result<SentinelClient, OpenError> {
    if settings.master.is_empty() {
        return Err(OpenError::Topology);
    }
    let secure = infos.iter().all(tls);
    let addresses = infos.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, &settings.master, SentinelServerType::Master)?
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if let Some(database) = infos.first().map(|info| info.redis_settings().db()) {
        builder = builder.set_client_to_redis_db(database);
    }
    if !account.username.is_empty() {
        builder = builder.set_client_to_redis_username(&account.username);
    }
    if let Some(password) = account.password()? {
        builder = builder.set_client_to_redis_password(password);
    }
    let own = Account::read(&settings.sentinel_username, &settings.sentinel_password)?;
    if !own.username.is_empty() {
        builder = builder.set_client_to_sentinel_username(&own.username);
    }
    if let Some(password) = own.password()? {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if secure {
        builder =
            builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
        if let Some(certificates) = certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
    }
    Ok(builder.build()?)
}

/// What TLS trusts and shows, if files are named.
fn certificates(settings: &Settings) -> Result<Option<TlsCertificates>, OpenError> {
    let read = |path: &Path| std::fs::read(path).map_err(|_| OpenError::File(path.to_owned()));
    let given = |path: &Path| !path.as_os_str().is_empty();
    let root_cert = if given(&settings.ca) { Some(read(&settings.ca)?) } else { None };
    let client_tls = match (given(&settings.certificate), !settings.key.is_unset()) {
        (true, true) => {
            let key = secret(&settings.key)?;
            Some(ClientTlsConfig { client_cert: read(&settings.certificate)?, client_key: key.expose().clone() })
        }
        (false, false) => None,
        _ => return Err(OpenError::Certificate),
    };
    Ok((root_cert.is_some() || client_tls.is_some()).then_some(TlsCertificates { client_tls, root_cert }))
}
