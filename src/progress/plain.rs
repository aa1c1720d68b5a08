//! A line when a stage starts and ends, and every ten seconds between: for CI and log files.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    screen::Screen,
    words::{Retries, Running, amount, finished, said},
};
use crate::event::{Event, Listen};

const EVERY: Duration = Duration::from_secs(10);

pub(super) struct Plain {
    screen: Screen,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    last: Option<Instant>,
    retries: Retries,
}

impl Plain {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, state: Mutex::default() }
    }

    fn hear(&self, event: &Event, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = state.line(event, now) {
            self.screen.line(&line);
        }
    }
}

impl Listen for Plain {
    fn on(&self, event: &Event) {
        self.hear(event, Instant::now());
    }
}

impl State {
    fn line(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::StageStarted { stage, total } => {
                self.running = Some(Running::new(*stage, *total, now));
                self.last = Some(now);
                let of =
                    total.and_then(|total| amount(*stage, total)).map_or_else(String::new, |all| format!(", {all}"));
                return Some(format!("{}: started{of}", stage.label()));
            }
            Event::StageFinished { stage, done, elapsed_ms } => {
                self.running = None;
                return Some(format!("ok  {}", finished(*stage, *done, *elapsed_ms)));
            }
            Event::Retry { .. } => return self.retries.line(event, now),
            Event::Warning { .. } | Event::Notice { .. } => return said(event),
            Event::Advanced { .. } | Event::ExportJob { .. } | Event::Import(_) => {}
        }
        let running = self.running.as_mut()?;
        if !running.update(event, now) || self.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return None;
        }
        self.last = Some(now);
        let text = running.text(now);
        (!text.is_empty()).then(|| format!("{}: {text}", running.stage.label()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stage;

    #[test]
    fn a_line_every_ten_seconds() {
        let screen = Screen::captured();
        let plain = Plain::new(screen.clone());
        let start = Instant::now();
        plain.hear(&Event::StageStarted { stage: Stage::Plan, total: Some(2_000) }, start);
        for second in 1..=25 {
            let event = Event::Advanced { stage: Stage::Plan, done: second * 80, total: None };
            plain.hear(&event, start + Duration::from_secs(second));
        }
        plain.hear(&Event::Warning { code: "some-code", message: "mind\u{1b}[1m this".into() }, start);
        plain.hear(&Event::StageFinished { stage: Stage::Plan, done: 2_000, elapsed_ms: 25_400 }, start);
        insta::assert_snapshot!(screen.text(), @r"
        plan: started, 2,000 users
        plan: 800/2,000 users, 80/s, 15 s left
        plan: 1,600/2,000 users, 80/s, 5.0 s left
        warning: mind\u{1b}[1m this [some-code]
        ok  plan       2,000 users          25 s
        ");
    }
}
