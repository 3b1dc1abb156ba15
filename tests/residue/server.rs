//! A server as `idgate serve` starts one, whose reader and store fail as lines on standard input say. For tests only.
//!
//! `residue_server scan FILE...` reads files instead, for measuring. `residue_server CONFIG scripted|ocr`: tells its two addresses in one line, then answers each line with `ok`:
//! `reader WHAT AT`, `hold`, `let-go`, `store fail|mend|away|back`, `commits N`, `stop` (drain), `stopped` (wait for
//! its end), `quit`.

use super::script::Scripted;
use super::support::Wilful;
use idgate::cli::harden::harden;
use idgate::config::{self, Settings};
use idgate::evidence;
use idgate::flows::pool::ReadImage;
use idgate::{server, telemetry};
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// `overwriting`: whether this program's allocator overwrites.
pub fn main(overwriting: bool) {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments[1] == "scan" {
        return super::scan::on_demand(&arguments[2..], overwriting);
    }
    let settings = Settings::load(Some(Path::new(&arguments[1]))).unwrap();
    telemetry::start(&settings.log).unwrap();
    harden(&settings.memory, settings.production()).unwrap();
    let script = Arc::new(Scripted::default());
    let read: Arc<ReadImage> = match arguments[2].as_str() {
        "ocr" => config::server_reader(&settings).unwrap(),
        _ => {
            let script = Arc::clone(&script);
            Arc::new(move |image, today, limits| evidence::extract(image, &*script, today, limits))
        }
    };
    let mut app = config::open(&settings, read).unwrap();
    let store = Arc::new(Wilful::new(Arc::clone(&app.store), usize::MAX));
    app.store = Arc::clone(&store) as _;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let bound = runtime.block_on(server::bind(settings.server.clone(), Arc::new(app))).unwrap();
    say(&format!("{} {}", bound.address().unwrap(), bound.admin_address().unwrap()));
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stop = Some(stop);
    let mut serving = Some(runtime.spawn(bound.run(async move { drop(stopped.await) })));
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["reader", what, at] => script.tell(|told| (told.what, told.at) = (what.to_string(), at.to_string())),
            ["hold"] => script.tell(|told| told.hold = true),
            ["let-go"] => script.tell(|told| told.hold = false),
            ["store", "fail"] => store.fail(),
            ["store", "mend"] => store.mend(),
            ["store", "away"] => store.leave(true),
            ["store", "back"] => store.leave(false),
            ["commits", count] => store.good_for(count.parse().unwrap()),
            ["stop"] => stop.take().unwrap().send(()).unwrap(),
            // An error is a call that was cut off, which some tests want.
            ["stopped"] => drop(runtime.block_on(serving.take().unwrap()).unwrap()),
            ["quit"] => break,
            _ => panic!("no such order"),
        }
        say("ok");
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}
