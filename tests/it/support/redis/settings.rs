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
        let mut settings = Settings { urls: self.urls(), topology, ..Settings::default() };
        if self.kind == Kind::Sentinel {
            settings.master = MASTER.to_owned();
            // All of them: the one that becomes the master has everything that was acknowledged, and a master that was
            // replaced while it was paused has lost at least one.
            settings.acknowledged_replicas = 2;
        }
        if let Some(made) = &self.certificates {
            settings.username = "idgate".to_owned();
            settings.password = self.home.path().join("password");
            settings.ca = made.ca.clone();
            settings.certificate = made.client.clone();
            settings.key = made.client_key.clone();
        }
        settings
    }
}
