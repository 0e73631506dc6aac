//! Reading parts of objects.

use super::fixture::{Fixture, assert_refused, collect, key, pattern};
use crate::{ByteRange, Error, GetRequest};

pub(super) async fn ranges_are_cut(fixture: Fixture) {
    let size = (1_usize << 20) + 3;
    let bytes = pattern(5, size);
    fixture.put("object", &bytes).await;
    let end = size as u64;
    for (range, expected) in [
        (ByteRange::Bounded { start: 0, end: 1 }, 0..1),
        (ByteRange::Bounded { start: 65_535, end: 65_537 }, 65_535..65_537),
        (ByteRange::Bounded { start: 10, end }, 10..end),
        (ByteRange::Bounded { start: end - 1, end: end + 1_000 }, end - 1..end),
        (ByteRange::From(0), 0..end),
        (ByteRange::From(end - 1), end - 1..end),
        (ByteRange::Last(1), end - 1..end),
        (ByteRange::Last(100_000), end - 100_000..end),
        (ByteRange::Last(end + 1), 0..end),
    ] {
        let request = GetRequest { range: Some(range), ..GetRequest::whole(key("object")) };
        let response = fixture.works(fixture.store.get(request).await);
        assert_eq!(response.range, expected, "{}: {range:?}", fixture.name);
        assert_eq!(response.info.size, end, "{}: the size is that of the whole", fixture.name);
        let read = fixture.works(collect(response.body).await);
        let slice = &bytes[expected.start as usize..expected.end as usize];
        assert!(read == slice, "{}: the bytes of {range:?}", fixture.name);
    }
}

pub(super) async fn ranges_outside_are_refused(fixture: Fixture) {
    fixture.put("ten", b"0123456789").await;
    fixture.put("empty", b"").await;
    let outside = [
        ("ten", ByteRange::Bounded { start: 10, end: 11 }),
        ("ten", ByteRange::From(10)),
        ("ten", ByteRange::From(u64::MAX / 4)),
        ("empty", ByteRange::From(0)),
        ("empty", ByteRange::Bounded { start: 0, end: 1 }),
        ("empty", ByteRange::Last(5)),
    ];
    for (name, range) in outside {
        assert_refused!(fixture, fixture.try_get(name, Some(range)).await, Error::InvalidRange { .. });
    }
    assert_eq!(fixture.get("empty").await, b"", "{}", fixture.name);
}
