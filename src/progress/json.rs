//! One JSON object a line: the event as it is, with the time in front.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::screen::Screen;
use crate::{
    error::printable_json,
    event::{Event, Listen},
};

/// Steps within a stage come at most this often.
const EVERY: Duration = Duration::from_millis(500);

pub(super) struct Json {
    screen: Screen,
    last: Mutex<Option<Instant>>,
}

impl Json {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, last: Mutex::default() }
    }

    fn is_due(&self, event: &Event, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Advanced { .. } | Event::Import(_) => {
                let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
                if due {
                    *last = Some(now);
                }
                due
            }
            Event::StageStarted { .. } => {
                *last = None;
                true
            }
            _ => true,
        }
    }
}

impl Listen for Json {
    fn on(&self, event: &Event) {
        if self.is_due(event, Instant::now())
            && let Some(line) = line(event, jiff::Timestamp::now())
        {
            self.screen.line(&line);
        }
    }
}

fn line(event: &Event, at: jiff::Timestamp) -> Option<String> {
    let event = serde_json::to_string(event).ok()?;
    let event = printable_json(&event);
    Some(format!("{{\"at\":\"{at:.3}\",{}", event.strip_prefix('{')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ImportProgress, Stage};

    #[test]
    fn every_kind_of_event_is_an_object() {
        let events = [
            Event::StageStarted { stage: Stage::Plan, total: None },
            Event::Import(ImportProgress::default()),
            Event::Notice { message: "a \"quoted\"\nline".into() },
        ];
        for event in events {
            let line = line(&event, jiff::Timestamp::UNIX_EPOCH).unwrap();
            assert!(!line.contains('\n'));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["at"], "1970-01-01T00:00:00.000Z");
            assert!(value["event"].is_string(), "{line}");
        }
    }

    #[test]
    fn steps_are_thinned_out_and_ends_are_not() {
        let json = Json::new(Screen::captured());
        let now = Instant::now();
        let step = Event::Advanced { stage: Stage::Plan, done: 1, total: None };
        let end = Event::StageFinished { stage: Stage::Plan, done: 1, elapsed_ms: 1 };
        assert!(json.is_due(&step, now));
        assert!(!json.is_due(&step, now));
        assert!(json.is_due(&end, now));
        assert!(json.is_due(&Event::StageStarted { stage: Stage::Import, total: None }, now));
        assert!(json.is_due(&step, now));
    }
}
