//! Somebody who receives webhooks: keeps every post, and answers as the test says.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use idgate::flows::webhooks::signing::{ID, SIGNATURE, TIMESTAMP};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, rustls};

/// A post as it came.
#[derive(Clone, Debug)]
pub struct Post {
    pub path: String,
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    /// Every header, as text.
    pub headers: String,
    pub body: Vec<u8>,
}

impl Post {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    answers: Arc<Mutex<(VecDeque<u16>, u16)>>,
    posts: watch::Sender<Vec<Post>>,
}

impl Receiver {
    /// Answers with 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            answers: Arc::new(Mutex::new((VecDeque::new(), 204))),
            posts: watch::Sender::default(),
        };
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    /// Gives these answers first.
    pub fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.answers.lock().unwrap().0.extend(statuses);
    }

    /// Gives this answer from now on.
    pub fn always(&self, status: u16) {
        self.answers.lock().unwrap().1 = status;
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// Every post, once there are so many.
    pub async fn until(&self, count: usize) -> Vec<Post> {
        self.posts.subscribe().wait_for(|posts| posts.len() >= count).await.unwrap().clone()
    }

    /// A port that speaks TLS for `localhost` before this receiver, with the test's certificate.
    pub async fn behind_tls(&self) -> SocketAddr {
        let at = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/webhook").join(name);
        let chain = vec![CertificateDer::from_pem_file(at("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(at("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let (acceptor, plain) = (TlsAcceptor::from(Arc::new(config)), self.address);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not trust the certificate leaves here.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut plain = TcpStream::connect(plain).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut plain).await);
                });
            }
        });
        address
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(header::HeaderName, String); 1]) {
    let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let post = Post {
        path: uri.path().to_owned(),
        id: text(ID),
        timestamp: text(TIMESTAMP),
        signature: text(SIGNATURE),
        headers: format!("{headers:?}"),
        body: body.to_vec(),
    };
    let status = {
        let (first, always) = &mut *receiver.answers.lock().unwrap();
        first.pop_front().unwrap_or(*always)
    };
    receiver.posts.send_modify(|posts| posts.push(post));
    // Means something to who follows redirects only.
    (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, "/elsewhere".to_owned())])
}
