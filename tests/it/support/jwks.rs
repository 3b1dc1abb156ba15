//! A server of keys: gives out a document, with whatever status and caching the test says, and counts who asks.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone)]
struct Page {
    status: u16,
    cache: String,
    document: String,
}

#[derive(Clone)]
pub struct KeyServer {
    pub address: SocketAddr,
    page: Arc<Mutex<Page>>,
    asked: watch::Sender<Vec<String>>,
}

impl KeyServer {
    pub async fn start(document: &str) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), document)
    }

    /// The same on a port that is there already.
    pub fn on(listener: TcpListener, document: &str) -> Self {
        let page = Page { status: 200, cache: String::new(), document: document.to_owned() };
        let address = listener.local_addr().unwrap();
        let server = Self { address, page: Arc::new(Mutex::new(page)), asked: watch::Sender::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Gives out this document from now on.
    pub fn publish(&self, document: &str) {
        self.page.lock().unwrap().document = document.to_owned();
    }

    /// Answers with this status from now on.
    pub fn status(&self, status: u16) {
        self.page.lock().unwrap().status = status;
    }

    /// Says this about caching from now on.
    pub fn cache(&self, control: &str) {
        self.page.lock().unwrap().cache = control.to_owned();
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// Waits until it was asked so often.
    pub async fn until_asked(&self, count: usize) {
        self.asked.subscribe().wait_for(|asked| asked.len() >= count).await.unwrap();
    }
}

async fn answer(State(server): State<KeyServer>, uri: Uri) -> (StatusCode, [(header::HeaderName, String); 2], String) {
    server.asked.send_modify(|asked| asked.push(uri.path().to_owned()));
    let page = server.page.lock().unwrap().clone();
    // The address means something to who follows redirects only.
    let headers = [(header::CACHE_CONTROL, page.cache), (header::LOCATION, "/elsewhere".to_owned())];
    (StatusCode::from_u16(page.status).unwrap(), headers, page.document)
}
