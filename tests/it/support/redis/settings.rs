//! What idgate is told to use these servers.

use super::{Kind, MASTER, Redis};
use idgate::store::shared::{Settings, Topology};

impl Redis {
    /// How a process reaches these servers.
    pub fn settings(&self) -> Settings {
        let topology = match self.kind {
            Kind::Single | Kind::Secured => Topology::Single,
            Kind::Cluster => Topology::Cluster,
            Kind::Sentinel => Topology::Sentinel,
        };
        // With patience, for where nothing breaks but everything may be slow.
        let (call_ms, acknowledge_ms) = (10_000, 10_000);
        let urls = self.urls();
        let mut settings = Settings { urls, topology, call_ms, acknowledge_ms, ..Settings::default() };
        if self.kind == Kind::Sentinel {
            settings.master = MASTER.to_owned();
            // All of them: the one that becomes the master has everything that was acknowledged, and a master that was
            // replaced while it was paused has lost at least one.
            settings.acknowledged_replicas = 2;
        }
        if let Some(made) = &self.certificates {
            settings.username = "idgate".to_owned();
            settings.password = self.home.path().join("password").into();
            settings.ca = made.ca.clone();
            settings.certificate = made.client.clone();
            settings.key = made.client_key.clone().into();
        }
        settings
    }
    /// The same with the patience that is the default.
    pub fn brisk_settings(&self) -> Settings {
        let Settings { call_ms, acknowledge_ms, .. } = Settings::default();
        Settings { call_ms, acknowledge_ms, ..self.settings() }
    }
}
