//! A load generator for S3 endpoints: signed requests over kept connections, one JSON line of figures.
//!
//! ```text
//! S3LOAD_KEY=… S3LOAD_SECRET=… s3load WHAT ENDPOINT BUCKET [--connections N] [--seconds S] [--count N] [--size BYTES]
//!                                    [--keys N] [--prefix TEXT] [--part BYTES] [--after TEXT]
//!   create     makes the bucket
//!   fill       PUTs the keys PREFIX0000000 … up to --count
//!   put        PUTs new keys below PREFIX
//!   get, head  reads random ones of the --keys keys that `fill` made
//!   list       lists one page of --keys keys below PREFIX, behind --after
//!   list-all   lists everything below PREFIX, --count times
//!   put-large, get-large       one object of --size, --count times
//!   multipart  an object of --size in parts of --part, the parts over all connections, --count times
//! ```
//! `bench/s3` runs it against several servers. ENDPOINT is HOST:PORT.

mod connection;
mod figures;
mod large;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connection::{Call, Connection, Target};
use figures::Figures;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the command line says.
#[derive(Clone, Debug)]
struct Load {
    target: Target,
    connections: usize,
    seconds: f64,
    count: u64,
    size: usize,
    keys: u64,
    part: usize,
    prefix: String,
    after: String,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, endpoint, bucket, options @ ..] = &words[..] else {
        return Err(
            "usage: s3load WHAT ENDPOINT BUCKET [--OPTION VALUE]...; see the head of its source".into()
        );
    };
    let load = Load::parse(Target::from_environment(endpoint, bucket)?, options)?;
    let figures = run(what, &load)?;
    Ok(writeln!(io::stdout(), "{}", figures.json())?)
}

fn run(what: &str, load: &Load) -> Result<Figures, Failure> {
    let body = content(load.size);
    match what {
        "create" => {
            repeat(&Load { count: 1, connections: 1, ..load.clone() }, |_, _| Call::of("PUT", String::new()))
        }
        "fill" => repeat(load, |_, number| Call::of("PUT", load.key(number)).with(stamped(&body, number))),
        "put" => repeat(load, |thread, number| {
            // Spread as the keys of real programs are, so that a server cannot append at one place.
            let spread = scatter(number * 64 + thread as u64);
            Call::of("PUT", format!("{}{spread:016x}", load.prefix)).with(stamped(&body, spread))
        }),
        "get" => repeat(load, |thread, number| Call::of("GET", load.random_key(thread, number))),
        "head" => repeat(load, |thread, number| Call::of("HEAD", load.random_key(thread, number))),
        "list" => repeat(load, |_, _| Call::of("GET", load.page(&load.after))),
        "list-all" => large::list_all(load),
        "put-large" => {
            let long = content(load.size + SHIFT * load.count as usize);
            repeat(load, |_, number| {
                Call::of("PUT", load.prefix.clone()).unhashed(shifted(&long, load.size, number))
            })
        }
        "get-large" => repeat(load, |_, _| Call::of("GET", load.prefix.clone())),
        "multipart" => large::multipart(load),
        other => Err(format!("there is nothing called {other}").into()),
    }
}

impl Load {
    fn parse(target: Target, options: &[String]) -> Result<Self, Failure> {
        let mut load = Self {
            target,
            connections: 1,
            seconds: 0.0,
            count: 0,
            size: 4096,
            keys: 1000,
            part: 8 << 20,
            prefix: "k/".to_owned(),
            after: String::new(),
        };
        for pair in options.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} has no value", pair[0]).into()) };
            match name.as_str() {
                "--connections" => load.connections = value.parse()?,
                "--seconds" => load.seconds = value.parse()?,
                "--count" => load.count = value.parse()?,
                "--size" => load.size = value.parse()?,
                "--keys" => load.keys = value.parse()?,
                "--part" => load.part = value.parse()?,
                "--prefix" => load.prefix.clone_from(value),
                "--after" => load.after.clone_from(value),
                other => return Err(format!("there is no option {other}").into()),
            }
        }
        if load.seconds == 0.0 && load.count == 0 {
            load.count = 1;
        }
        Ok(load)
    }

    fn key(&self, number: u64) -> String {
        format!("{}{number:07}", self.prefix)
    }

    fn random_key(&self, thread: usize, number: u64) -> String {
        self.key(scatter(number * 64 + thread as u64) % self.keys.max(1))
    }

    /// The page behind a key. Only what every server understands.
    fn page(&self, after: &str) -> String {
        format!(
            "?list-type=2&max-keys={}&prefix={}&start-after={}",
            self.keys,
            encoded(&self.prefix),
            encoded(after)
        )
    }
}

fn encoded(text: &str) -> String {
    sandkeep_objects::sigv4::encode_query(text.as_bytes())
}

/// Bytes that no server can compress.
fn content(length: usize) -> Vec<u8> {
    (0..).flat_map(|number| scatter(number).to_le_bytes()).take(length).collect()
}

/// Bytes by which large bodies differ from the one before.
const SHIFT: usize = 24;

/// A large body that shares no block with those of other numbers.
fn shifted(long: &[u8], size: usize, number: u64) -> &[u8] {
    let start = SHIFT * number as usize;
    &long[start..start + size]
}

/// A body of its own for each object: some servers keep equal ones once.
fn stamped(body: &[u8], number: u64) -> Vec<u8> {
    let mut body = body.to_vec();
    let stamp = scatter(number).to_le_bytes();
    body.iter_mut().zip(stamp).for_each(|(byte, of)| *byte = of);
    body
}

/// SplitMix64: the same numbers in every run.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sends calls over all connections until the time or the count is over. Any refusal ends it.
fn repeat<'c>(load: &Load, call: impl Fn(usize, u64) -> Call<'c> + Sync) -> Result<Figures, Failure> {
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    let end = Duration::from_secs_f64(load.seconds);
    let work = |thread: usize| -> Result<Figures, Failure> {
        let mut connection = Connection::open(&load.target)?;
        let mut figures = Figures::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let over = if load.seconds > 0.0 { started.elapsed() >= end } else { number >= load.count };
            if over {
                return Ok(figures);
            }
            let call = call(thread, number);
            let sent = Instant::now();
            let answer = connection.call(&call)?;
            figures.add(sent.elapsed(), call.body.len() as u64 + answer.length);
        }
    };
    let outcomes: Vec<Result<Figures, Failure>> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..load.connections).map(|thread| scope.spawn(move || work(thread))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
            .collect()
    });
    let mut total = Figures::default();
    for outcome in outcomes {
        total.merge(outcome?);
    }
    total.seconds = started.elapsed().as_secs_f64();
    Ok(total)
}
