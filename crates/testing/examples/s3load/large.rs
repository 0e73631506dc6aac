//! What takes several requests each time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::connection::{Call, Connection};
use crate::figures::Figures;
use crate::{Failure, Load, SHIFT, content, encoded, shifted};

/// Lists everything below the prefix, page after page of 1,000.
pub(crate) fn list_all(load: &Load) -> Result<Figures, Failure> {
    let (mut connection, mut figures) = (Connection::open(&load.target)?, Figures::default());
    for _ in 0..load.count {
        let (started, mut bytes, mut found) = (Instant::now(), 0, 0);
        let mut query = format!("?list-type=2&max-keys=1000&prefix={}", encoded(&load.prefix));
        loop {
            let answer = connection.call(&Call::of("GET", query))?;
            let page = String::from_utf8(answer.body)?;
            bytes += answer.length;
            found += page.matches("<Key>").count() as u64;
            let Some(token) = between(&page, "<NextContinuationToken>", "</NextContinuationToken>") else {
                break;
            };
            let prefix = encoded(&load.prefix);
            let token = encoded(&token.replace("&#x2f;", "/").replace("&amp;", "&"));
            query = format!("?list-type=2&max-keys=1000&prefix={prefix}&continuation-token={token}");
        }
        if load.keys != found {
            return Err(format!("{found} keys were listed instead of {}", load.keys).into());
        }
        figures.add(started.elapsed(), bytes);
        figures.seconds += started.elapsed().as_secs_f64();
    }
    Ok(figures)
}

/// Uploads an object in parts, over all connections.
pub(crate) fn multipart(load: &Load) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let long = content(load.size + SHIFT * load.count as usize);
    for number in 0..load.count {
        let started = Instant::now();
        upload(load, shifted(&long, load.size, number))?;
        figures.add(started.elapsed(), load.size as u64);
        figures.seconds += started.elapsed().as_secs_f64();
    }
    Ok(figures)
}

fn upload(load: &Load, body: &[u8]) -> Result<(), Failure> {
    let mut connection = Connection::open(&load.target)?;
    let answer = connection.call(&Call::of("POST", format!("{}?uploads=", load.prefix)))?;
    let document = String::from_utf8(answer.body)?;
    let id = between(&document, "<UploadId>", "</UploadId>").ok_or("no upload id")?;
    let (next, parts) = (AtomicUsize::new(0), load.size.div_ceil(load.part));
    let work = || -> Result<Vec<(usize, String)>, Failure> {
        let (mut connection, mut done) = (Connection::open(&load.target)?, Vec::new());
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                return Ok(done);
            }
            let place = format!("{}?partNumber={}&uploadId={}", load.prefix, part + 1, encoded(id));
            let bytes = &body[part * load.part..load.size.min((part + 1) * load.part)];
            done.push((part + 1, connection.call(&Call::of("PUT", place).unhashed(bytes))?.etag));
        }
    };
    let mut tags = Vec::new();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
            .collect()
    });
    for outcome in outcomes {
        tags.extend(outcome?);
    }
    tags.sort();
    let part = |(number, tag): &(usize, String)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
    };
    let list: String = tags.iter().map(part).collect();
    let document = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let place = format!("{}?uploadId={}", load.prefix, encoded(id));
    connection.call(&Call::of("POST", place).with(document.as_bytes()))?;
    Ok(())
}

fn between<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(behind).map(|(found, _)| found)
}
