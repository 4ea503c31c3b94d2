//! Connections: one thread serves all, and each is bounded in time and size.
//!
//! hyper on tokio's current-thread runtime, and not a crate with a thread for each request: a reader of events stays for hours, and a thousand of them are a
//! thousand small tasks here. Of what hyper and tokio can do only HTTP/1 and one thread are compiled in.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Settings;
use crate::guard::Way;
use crate::routes::Site;
use crate::stall::Stalling;
use crate::threads;

/// Fields of a request's head.
const FIELDS_MAX: usize = 64;
/// Bytes of a request's head, and of what is buffered of an answer for a slow reader.
const BUFFER_BYTES_MAX: usize = 16 << 10;
/// How long a head may take to come, from the end of what came before.
const HEAD: Duration = Duration::from_secs(10);
/// What asks the server and waits for it: questions, logins and actions at once.
const WAITING_THREADS_MAX: usize = 8;
/// After a connection could not be accepted.
const REST: Duration = Duration::from_millis(500);

/// Serves until the process ends.
///
/// # Errors
/// There is no runtime to be had, or a socket that it can't watch.
pub fn run(settings: Settings, listeners: Vec<StdListener>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(WAITING_THREADS_MAX)
        .thread_stack_size(threads::STACK_BYTES)
        .on_thread_start(threads::begin_counting)
        .on_thread_stop(threads::end_counting)
        .thread_name("page-asks")
        .build()?;
    runtime.block_on(async {
        // Further connections wait in the system's queue.
        let places = Arc::new(Semaphore::new(settings.connections_max));
        let site = Arc::new(Site::new(settings));
        site.feed.clone().publish_in_background();
        for listener in listeners {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, site.clone(), places.clone()));
        }
        std::future::pending::<io::Result<()>>().await
    })
}

async fn accept(listener: TcpListener, site: Arc<Site>, places: Arc<Semaphore>) {
    let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    let is_to_loopback = listener.local_addr().is_ok_and(is_loopback);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((socket, peer)) = listener.accept().await else {
            // Descriptors are lacking; those that wait stay in the system's queue.
            tokio::time::sleep(REST).await;
            continue;
        };
        let site = site.clone();
        let way = Way { peer: peer.ip(), is_to_loopback, is_from_loopback: is_loopback(peer) };
        tokio::spawn(async move {
            serve(socket, site, way).await;
            drop(place);
        });
    }
}

/// Serves a connection to its end, which is the peer's affair: an error of one is told to nobody.
async fn serve(socket: TcpStream, site: Arc<Site>, way: Way) {
    // Events are small, and each is to be seen at once.
    let _ = socket.set_nodelay(true);
    let answer = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(site.answer(request, way).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(TokioIo::new(Stalling::new(socket)), answer);
    let _ = connection.await;
}
