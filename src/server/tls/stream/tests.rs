//! Against another library's client, over a connection that gives and takes bytes as it likes.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsConnector;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Configurations that belong together.
fn pair(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, ClientConfig) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, "authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    (Arc::new(server), client)
}

/// Gives and takes a few bytes at a time, and sometimes none for now.
struct Choppy {
    inner: DuplexStream,
    random: fastrand::Rng,
    most: usize,
}

impl Choppy {
    fn new(inner: DuplexStream, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let most = [1, 3, 100, 5000, 100_000][random.usize(..5)];
        Self { inner, random, most }
    }

    fn some(&mut self) -> usize {
        let most = self.most;
        self.random.usize(1..=most)
    }

    fn pause(&mut self, cx: &Context<'_>) -> bool {
        let pause = self.random.u8(..) < 40;
        if pause {
            cx.waker().wake_by_ref();
        }
        pause
    }
}

impl AsyncRead for Choppy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.pause(cx) {
            return Poll::Pending;
        }
        let most = self.some().min(buffer.remaining());
        let mut some = vec![0; most];
        let mut part = ReadBuf::new(&mut some);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if self.pause(cx) {
            return Poll::Pending;
        }
        let most = self.some().min(bytes.len());
        Pin::new(&mut self.inner).poll_write(cx, &bytes[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.u8(1..)).collect()
}

/// Whether nothing is left of what passed.
fn clean<S>(stream: &TlsStream<S>) -> bool {
    [&stream.incoming, &stream.plain].iter().all(|buffer| buffer.memory().iter().all(|byte| *byte == 0))
}

#[tokio::test]
async fn what_is_sent_arrives_however_it_is_cut_and_nothing_of_it_stays() {
    for version in VERSIONS {
        let (server, client) = pair(version);
        let client = TlsConnector::from(Arc::new(client));
        for seed in 0..24 {
            let (near, far) = tokio::io::duplex([64, 5000, 300_000][usize::try_from(seed).unwrap() % 3]);
            let (near, far) = (Choppy::new(near, seed), Choppy::new(far, seed + 1000));
            let length = if near.most < 50 || far.most < 50 { 3000 } else { 200_000 };
            let sent = content(length, seed);
            let accepted = TlsStream::accept(far, Arc::clone(&server));
            let echo = async {
                let mut stream = accepted.await.unwrap();
                let (mut all, mut part) = (Vec::new(), vec![0; 7000]);
                loop {
                    let count = stream.read(&mut part).await.unwrap();
                    if count == 0 {
                        break;
                    }
                    all.extend(&part[..count]);
                }
                assert!(clean(&stream), "nothing stays");
                // The other side has ended its half; this one goes on.
                stream.write_all(&all).await.unwrap();
                stream.shutdown().await.unwrap();
                assert!(stream.write_all(b"more").await.is_err(), "ended");
                all
            };
            let talk = async {
                let mut stream = client.connect(name(), near).await.unwrap();
                let mut random = fastrand::Rng::with_seed(seed);
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(random.usize(1..=40_000).min(rest.len()));
                    stream.write_all(part).await.unwrap();
                    if version.version == rustls::ProtocolVersion::TLSv1_3 && random.bool() {
                        stream.get_mut().1.refresh_traffic_keys().unwrap();
                    }
                    rest = more;
                }
                stream.shutdown().await.unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).await.expect("an orderly end");
                back
            };
            let (seen, back) = tokio::join!(echo, talk);
            assert!(seen == sent && back == sent, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn an_end_without_a_word_is_an_error_and_so_is_a_changed_byte() {
    for version in VERSIONS {
        let (server, client) = pair(version);
        let client = TlsConnector::from(Arc::new(client));
        let (near, far) = tokio::io::duplex(100_000);
        let (stream, other) = tokio::join!(TlsStream::accept(far, Arc::clone(&server)), client.connect(name(), near));
        let (mut stream, mut other) = (stream.unwrap(), other.unwrap());
        other.write_all(b"half").await.unwrap();
        other.flush().await.unwrap();
        let mut four = [0; 4];
        stream.read_exact(&mut four).await.unwrap();
        drop(other);
        assert_eq!(stream.read(&mut four).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);

        let (near, far) = tokio::io::duplex(100_000);
        let (stream, other) = tokio::join!(TlsStream::accept(far, Arc::clone(&server)), client.connect(name(), near));
        let (mut stream, mut other) = (stream.unwrap(), other.unwrap());
        // A record that was never encrypted with these keys.
        let mut forged = vec![23, 3, 3, 0, 40];
        forged.extend([7; 40]);
        other.get_mut().0.write_all(&forged).await.unwrap();
        assert_eq!(stream.read(&mut four).await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(stream.write_all(b"x").await.is_err() && stream.read(&mut four).await.is_err(), "for good");
        stream.shutdown().await.unwrap();
        let told = other.read(&mut four).await.unwrap_err();
        assert!(told.to_string().contains("BadRecordMac"), "{told}");
    }
}

#[tokio::test]
async fn whatever_comes_instead_of_a_handshake_is_refused() {
    let (server, client) = pair(&TLS13);
    let mut starts = vec![b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()];
    let mut random = fastrand::Rng::with_seed(1);
    for length in [1, 5, 100, 20_000, 200_000] {
        starts.push((0..length).map(|_| random.u8(..)).collect());
        // A first message that is said to be as long as can be.
        let mut long = vec![22, 3, 1, 0x40, 0, 1, 0xFF, 0xFF, 0xFF];
        long.extend((0..length).map(|_| random.u8(..)));
        starts.push(long);
    }
    // A real one, with a byte changed.
    let mut hello = Vec::new();
    let session = rustls::ClientConnection::new(Arc::new(client.clone()), name());
    session.unwrap().write_tls(&mut hello).unwrap();
    for _ in 0..200 {
        let mut changed = hello.clone();
        changed[random.usize(..hello.len())] ^= random.u8(1..);
        starts.push(changed);
    }
    for start in starts {
        let (mut near, far) = tokio::io::duplex(300_000);
        near.write_all(&start).await.unwrap();
        near.shutdown().await.unwrap();
        let refused = TlsStream::accept(far, Arc::clone(&server)).await.map(drop);
        assert!(matches!(refused, Err(Refusal::Failed | Refusal::Left | Refusal::Protocol)), "{refused:?}");
    }
}

#[tokio::test]
async fn only_http_2_is_spoken() {
    for version in VERSIONS {
        let (server, client) = pair(version);
        for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
            let mut client = client.clone();
            client.alpn_protocols = protocols;
            let (near, far) = tokio::io::duplex(100_000);
            let client = TlsConnector::from(Arc::new(client));
            let (refused, _) = tokio::join!(TlsStream::accept(far, Arc::clone(&server)), client.connect(name(), near));
            assert_eq!(refused.map(drop).unwrap_err(), Refusal::Protocol);
        }
    }
}

#[tokio::test]
async fn who_reads_nothing_is_not_written_to_without_end() {
    let (server, client) = pair(&TLS13);
    let (near, far) = tokio::io::duplex(1000);
    let client = TlsConnector::from(Arc::new(client));
    let (stream, other) = tokio::join!(TlsStream::accept(far, server), client.connect(name(), near));
    let (mut stream, mut other) = (stream.unwrap(), other.unwrap());
    let sent = content(500_000, 5);
    let mut taken = 0;
    loop {
        let written = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, &sent[taken..]))).await;
        let Poll::Ready(count) = written else { break };
        taken += count.unwrap();
    }
    assert!(taken < HIGH + 2 * RECORD, "{taken}");
    assert!(stream.outgoing.waiting().len() < HIGH + RECORD + AROUND);
    let (wrote, read) = tokio::join!(
        async {
            stream.write_all(&sent[taken..]).await.unwrap();
            stream.shutdown().await
        },
        async {
            let mut read = Vec::new();
            other.read_to_end(&mut read).await.unwrap();
            read
        }
    );
    wrote.unwrap();
    assert_eq!(read, sent);
}
