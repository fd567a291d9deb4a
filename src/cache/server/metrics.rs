//! Figures, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::access_log::Exchange;
use super::request::Method;

/// Statuses that are counted on their own; all others together.
const STATUSES: [u16; 21] = [200, 201, 204, 206, 304, 400, 401, 403, 404, 405, 408, 411, 412, 413, 416, 422, 431, 500, 501, 503, 507];

/// Upper bounds of the histogram, in microseconds.
const BOUNDS: [u64; 12] = [50, 100, 250, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// What became of an upload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Uploaded {
    /// It is an entry now.
    Stored,
    /// It was there.
    Kept,
    /// It was not what it said, or was broken off.
    Refused,
}

/// Figures.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: [[AtomicU64; STATUSES.len() + 1]; Method::ALL.len()],
    sent: AtomicU64,
    received: AtomicU64,
    in_flight: AtomicI64,
    connections: AtomicI64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
    uploads: [AtomicU64; 3],
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    /// A request is worked on.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It is answered.
    pub(super) fn end(&self, exchange: &Exchange) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let status = STATUSES.iter().position(|status| *status == exchange.status).unwrap_or(STATUSES.len());
        add(&self.requests[exchange.method as usize][status], 1);
        add(&self.sent, exchange.bytes);
        let took = u64::try_from(exchange.took.as_micros()).unwrap_or(u64::MAX);
        add(&self.buckets[BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len())], 1);
        add(&self.microseconds, took);
    }

    /// Bytes of a body came in.
    pub(super) fn received(&self, bytes: u64) {
        add(&self.received, bytes);
    }

    /// An upload came to its end.
    pub(super) fn uploaded(&self, how: Uploaded) {
        add(&self.uploads[how as usize], 1);
    }

    /// A connection came, or with -1 went.
    pub(super) fn connection(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// All of them, and how much is in the cache.
    pub(super) fn render(&self, objects: usize, bytes: u64) -> String {
        let mut text = String::with_capacity(4 << 10);
        self.render_requests(&mut text);
        self.render_latency(&mut text);
        let outcomes = [Uploaded::Stored, Uploaded::Kept, Uploaded::Refused]
            .map(|how| (format!("{how:?}").to_lowercase(), get(&self.uploads[how as usize])));
        text.push_str("# HELP kiln_cache_uploads_total Uploads, by what became of them.\n# TYPE kiln_cache_uploads_total counter\n");
        for (outcome, count) in outcomes {
            let _ = writeln!(text, "kiln_cache_uploads_total{{outcome=\"{outcome}\"}} {count}");
        }
        let mut single = |name: &str, kind: &str, help: &str, value: i128| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        single("kiln_cache_sent_bytes_total", "counter", "Bytes of response bodies.", get(&self.sent).into());
        single("kiln_cache_received_bytes_total", "counter", "Bytes of request bodies.", get(&self.received).into());
        single("kiln_cache_requests_in_flight", "gauge", "Requests being answered.", self.in_flight.load(Ordering::Relaxed).into());
        single("kiln_cache_connections", "gauge", "Open connections.", self.connections.load(Ordering::Relaxed).into());
        single("kiln_cache_objects", "gauge", "Objects in the cache.", i128::try_from(objects).unwrap_or(0));
        single("kiln_cache_packed_bytes", "gauge", "Bytes of the objects' packed NARs.", bytes.into());
        text
    }

    fn render_requests(&self, text: &mut String) {
        text.push_str("# HELP kiln_cache_requests_total Requests, by method and status.\n# TYPE kiln_cache_requests_total counter\n");
        for (method, counters) in Method::ALL.iter().zip(&self.requests) {
            for (at, counter) in counters.iter().enumerate().filter(|(_, counter)| get(counter) > 0) {
                let status = STATUSES.get(at).map_or_else(|| "other".to_owned(), ToString::to_string);
                let _ = writeln!(text, "kiln_cache_requests_total{{method=\"{}\",status=\"{status}\"}} {}", method.word(), get(counter));
            }
        }
    }

    fn render_latency(&self, text: &mut String) {
        let name = "kiln_cache_request_duration_seconds";
        let _ = writeln!(text, "# HELP {name} Time from a request's head to its response's last byte.\n# TYPE {name} histogram");
        let mut count = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            count += get(bucket);
            let bound = BOUNDS.get(at).map_or_else(|| "+Inf".to_owned(), |bound| (*bound as f64 / 1e6).to_string());
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {count}", get(&self.microseconds) as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_answered_is_counted_by_method_status_and_time() {
        let metrics = Metrics::default();
        for (status, micros) in [(200, 40), (200, 60), (418, 20_000_000)] {
            metrics.begin();
            let client = std::net::Ipv4Addr::LOCALHOST.into();
            let took = Duration::from_micros(micros);
            metrics.end(&Exchange { client, token: None, method: Method::Get, path: "/", status, bytes: 5, took });
        }
        let text = metrics.render(3, 1_000);
        for line in [
            "kiln_cache_requests_total{method=\"GET\",status=\"200\"} 2",
            "kiln_cache_requests_total{method=\"GET\",status=\"other\"} 1",
            "kiln_cache_request_duration_seconds_bucket{le=\"0.00005\"} 1",
            "kiln_cache_request_duration_seconds_bucket{le=\"0.0001\"} 2",
            "kiln_cache_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "kiln_cache_request_duration_seconds_count 3",
            "kiln_cache_sent_bytes_total 15",
            "kiln_cache_requests_in_flight 0",
            "kiln_cache_objects 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
