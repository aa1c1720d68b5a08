//! How far a stage is, in words, the same for every reader.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    error::{count, printable, thousands},
    event::{Event, ImportProgress, Stage},
    text::time,
};

/// How long the moving average looks back: long enough to be steady over batches, short enough to show a stall.
const WINDOW: Duration = Duration::from_secs(15);
/// Retries are told at most this often; there may be hundreds.
const RETRY_EVERY: Duration = Duration::from_secs(3);

/// `1.5 MiB`.
pub(super) fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let (mut value, mut unit) = (n as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// `400 users`, `1.5 MiB`.
pub(super) fn amount(stage: Stage, n: u64) -> Option<String> {
    match stage {
        Stage::Download => Some(bytes(n)),
        Stage::Hashes | Stage::Factors | Stage::Structure => Some(count(n, "row")),
        Stage::Plan
        | Stage::Survey
        | Stage::Import
        | Stage::Visible
        | Stage::Verify
        | Stage::Repair
        | Stage::Rollback => Some(count(n, "user")),
        Stage::Grants => Some(count(n, "grant")),
        Stage::Codes => Some(count(n, "second factor")),
        Stage::Check | Stage::Export | Stage::Report => None,
    }
}

/// The line that a finished stage leaves: `plan       400 users            0.2 s`.
pub(super) fn finished(stage: Stage, done: u64, elapsed_ms: u64) -> String {
    let amount = amount(stage, done).unwrap_or_default();
    format!("{:<10} {amount:<20} {}", stage.label(), time(Duration::from_millis(elapsed_ms)))
}

/// A stage that is under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) stage: Stage,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    samples: VecDeque<(Instant, u64)>,
    import: Option<ImportProgress>,
    /// What Auth0's job says.
    job: Option<String>,
}

impl Running {
    pub(super) fn new(stage: Stage, total: Option<u64>, now: Instant) -> Self {
        Self { stage, done: 0, total, samples: VecDeque::from([(now, 0)]), import: None, job: None }
    }

    /// Takes in what an event says of this stage; false when it is about something else.
    pub(super) fn update(&mut self, event: &Event, now: Instant) -> bool {
        match event {
            Event::Advanced { stage, done, total } if *stage == self.stage => {
                self.advance(*done, total.or(self.total), now);
            }
            Event::Import(import) if self.stage == Stage::Import => {
                self.advance(import.done, Some(import.total), now);
                self.import = Some(import.clone());
            }
            Event::ExportJob { status, percentage_done, time_left_seconds, connection, .. } => {
                let mut text = printable(status);
                if let Some(connection) = connection {
                    text = format!("{} {text}", printable(connection));
                }
                if let Some(left) = time_left_seconds {
                    text = format!("{text}, {} left", time(Duration::from_secs(*left)));
                }
                if let Some(percent) = percentage_done {
                    self.advance((*percent).min(100), Some(100), now);
                }
                self.job = Some(text);
            }
            _ => return false,
        }
        true
    }

    fn advance(&mut self, done: u64, total: Option<u64>, now: Instant) {
        // A download that begins again goes back to the start.
        if done < self.done {
            self.samples.clear();
        }
        (self.done, self.total) = (done, total);
        self.samples.push_back((now, done));
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) > WINDOW {
            self.samples.pop_front();
        }
        // Many small steps within the window are thinned out; the ends decide.
        if self.samples.len() > 512 {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Units a second over the window; none before there is anything to say.
    fn rate(&self, now: Instant) -> Option<f64> {
        let (since, before) = *self.samples.front()?;
        let seconds = now.duration_since(since).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "shown rounded")]
        let moved = self.done.saturating_sub(before) as f64;
        (seconds > 0.5 && moved > 0.0).then(|| moved / seconds)
    }

    fn left(&self, now: Instant) -> Option<Duration> {
        let remaining = self.total?.checked_sub(self.done).filter(|remaining| *remaining > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = remaining as f64 / self.rate(now)?;
        // In whole seconds: a figure that flickers in tenths promises what it cannot know.
        Duration::try_from_secs_f64(seconds.ceil()).ok().filter(|left| *left < Duration::from_hours(1000))
    }

    /// `12,000/120,342 users, 950/s, 2 min 1 s left, 2 rejected, 8/12 in flight, lag 3.2 s`. Empty where there is nothing to
    /// say.
    pub(super) fn text(&self, now: Instant) -> String {
        let mut parts = Vec::new();
        match (self.stage, self.total) {
            (Stage::Export, _) => parts.push(self.job.clone().unwrap_or_else(|| "asked for".into())),
            (Stage::Download, Some(total)) => parts.push(format!("{} of {}", bytes(self.done), bytes(total))),
            (stage, Some(total)) => {
                parts.extend(amount(stage, total).map(|all| format!("{}/{all}", thousands(self.done))));
            }
            (stage, None) => parts.extend(amount(stage, self.done)),
        }
        if self.stage != Stage::Export
            && let Some(rate) = self.rate(now)
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and shown rounded")]
            let whole = rate.round() as u64;
            parts.push(match self.stage {
                Stage::Download => format!("{}/s", bytes(whole)),
                _ if rate < 9.5 => format!("{rate:.1}/s"),
                _ => format!("{}/s", thousands(whole)),
            });
        }
        if self.stage != Stage::Export
            && let Some(left) = self.left(now)
        {
            parts.push(format!("{} left", time(left)));
        }
        // What a narrow terminal cuts off is what matters least.
        if let Some(import) = &self.import {
            if import.rejected > 0 {
                parts.push(format!("{} rejected", thousands(import.rejected)));
            }
            if let Some(reason) = import.throttled {
                parts.push(format!("held back: {reason}"));
            }
            parts.push(format!("{}/{} in flight", import.in_flight, import.concurrency));
            if import.lag_ms >= 100 {
                parts.push(format!("lag {}", time(Duration::from_millis(import.lag_ms))));
            }
        }
        parts.join(", ")
    }
}

/// Retries, told now and then and counted in between.
#[derive(Debug, Default)]
pub(super) struct Retries {
    last: Option<Instant>,
    silent: u64,
}

impl Retries {
    /// The line for a retry, where it is time for one.
    pub(super) fn line(&mut self, event: &Event, now: Instant) -> Option<String> {
        let Event::Retry { vendor, what, attempt, wait_ms, reason } = event else { return None };
        if self.last.is_some_and(|last| now.duration_since(last) < RETRY_EVERY) {
            self.silent += 1;
            return None;
        }
        let more = match std::mem::take(&mut self.silent) {
            0 => String::new(),
            more => format!(
                " (and {} since the last line)",
                if more == 1 { "1 other".into() } else { format!("{} others", thousands(more)) }
            ),
        };
        self.last = Some(now);
        let (what, reason, wait) = (printable(what), printable(reason), time(Duration::from_millis(*wait_ms)));
        Some(format!("retry: {vendor}, {what}: {reason}; attempt {} in {wait}{more}", attempt + 1))
    }
}

/// A warning or a notice, as it is shown.
pub(super) fn said(event: &Event) -> Option<String> {
    match event {
        Event::Warning { code, message } => Some(format!("warning: {} [{code}]", printable(message))),
        Event::Notice { message } => Some(printable(message)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(time(Duration::from_millis(240)), "0.2 s");
        assert_eq!(time(Duration::from_secs(185)), "3 min 5 s");
        assert_eq!(time(Duration::from_mins(130)), "2 h 10 min");
        assert_eq!(finished(Stage::Plan, 400, 200), "plan       400 users            0.2 s");
    }

    #[test]
    fn an_import_says_what_matters() {
        let start = Instant::now();
        let mut running = Running::new(Stage::Import, Some(1000), start);
        let now = start + Duration::from_secs(10);
        let progress = ImportProgress {
            done: 500,
            total: 1000,
            rejected: 2,
            in_flight: 8,
            concurrency: 12,
            lag_ms: 3_200,
            throttled: Some("lag"),
            ..ImportProgress::default()
        };
        assert!(running.update(&Event::Import(progress), now));
        insta::assert_snapshot!(running.text(now), @"500/1,000 users, 50/s, 10 s left, 2 rejected, held back: lag, 8/12 in flight, lag 3.2 s");
    }

    #[test]
    fn the_rate_is_of_late() {
        let start = Instant::now();
        let mut running = Running::new(Stage::Plan, Some(10_000), start);
        for second in 1..=100 {
            let done = if second <= 50 { second * 100 } else { 5_000 + (second - 50) * 10 };
            let event = Event::Advanced { stage: Stage::Plan, done, total: None };
            running.update(&event, start + Duration::from_secs(second));
        }
        insta::assert_snapshot!(running.text(start + Duration::from_secs(100)), @"5,500/10,000 users, 10/s, 7 min 30 s left");
        // A stall lowers it, and a download that begins again does not confuse it.
        assert!(running.rate(start + Duration::from_secs(200)).unwrap() < 2.0);
        running.update(&Event::Advanced { stage: Stage::Plan, done: 1, total: None }, start + Duration::from_secs(201));
        assert_eq!(running.rate(start + Duration::from_secs(202)), None);
    }

    #[test]
    fn an_export_job_in_its_own_words() {
        let now = Instant::now();
        let mut running = Running::new(Stage::Export, None, now);
        let event = Event::ExportJob {
            job_id: "job_1".into(),
            connection: Some("db\u{1b}[2J".into()),
            status: "processing".into(),
            percentage_done: Some(40),
            time_left_seconds: Some(90),
        };
        running.update(&event, now);
        assert_eq!(running.total, Some(100));
        insta::assert_snapshot!(running.text(now), @r"db\u{1b}[2J processing, 1 min 30 s left");
    }

    #[test]
    fn retries_do_not_flood() {
        let start = Instant::now();
        let mut retries = Retries::default();
        let event = Event::Retry {
            vendor: "ZITADEL",
            what: "import 100 users".into(),
            attempt: 1,
            wait_ms: 750,
            reason: "HTTP 503".into(),
        };
        let first = retries.line(&event, start).unwrap();
        insta::assert_snapshot!(first, @"retry: ZITADEL, import 100 users: HTTP 503; attempt 2 in 0.8 s");
        assert_eq!(retries.line(&event, start + Duration::from_secs(1)), None);
        assert_eq!(retries.line(&event, start + Duration::from_secs(2)), None);
        assert!(
            retries
                .line(&event, start + Duration::from_secs(4))
                .unwrap()
                .ends_with("(and 2 others since the last line)")
        );
    }
}
