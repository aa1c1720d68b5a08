//! A bar that is drawn in place, one for the stage under way; a finished stage leaves one line.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    screen::{Screen, Terminal},
    words::{Retries, Running, finished, said},
};
use crate::event::{Event, Listen, Stage};

/// How often the bar is drawn and its text renewed.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Bar {
    screen: Screen,
    terminal: Terminal,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<(Running, ProgressBar)>,
    drawn: Option<Instant>,
    retries: Retries,
}

impl Bar {
    pub(super) fn new(screen: Screen, terminal: Terminal) -> Self {
        Self { screen, terminal, state: Mutex::default() }
    }

    fn start(&self, shown: &mut State, stage: Stage, total: Option<u64>) {
        self.clear(shown);
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style(self.terminal, total.is_some()));
        bar.set_prefix(stage.label());
        bar.enable_steady_tick(TICK);
        self.screen.set_bar(Some(bar.clone()));
        let now = Instant::now();
        let running = Running::new(stage, total, now);
        bar.set_message(running.text(now));
        shown.running = Some((running, bar));
        shown.drawn = None;
    }

    fn clear(&self, shown: &mut State) {
        if let Some((_, bar)) = shown.running.take() {
            bar.finish_and_clear();
            self.screen.set_bar(None);
        }
    }

    fn step(&self, shown: &mut State, event: &Event) {
        let now = Instant::now();
        let Some((running, bar)) = &mut shown.running else { return };
        let had_total = running.total.is_some();
        if !running.update(event, now) {
            return;
        }
        if running.total.is_some() != had_total {
            bar.set_style(style(self.terminal, running.total.is_some()));
        }
        let done = running.total.is_some_and(|total| running.done >= total);
        if !done && shown.drawn.is_some_and(|drawn| now.duration_since(drawn) < TICK) {
            return;
        }
        shown.drawn = Some(now);
        if let Some(total) = running.total {
            bar.set_length(total);
        }
        bar.set_position(running.done);
        bar.set_message(running.text(now));
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.terminal.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Listen for Bar {
    fn on(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StageStarted { stage, total } => self.start(&mut state, *stage, *total),
            Event::StageFinished { stage, done, elapsed_ms } => {
                self.clear(&mut state);
                let mark = self.painted("32", if self.terminal.unicode { "✓" } else { "ok" });
                self.screen.line(&format!("{mark} {}", finished(*stage, *done, *elapsed_ms)));
            }
            Event::Retry { .. } => {
                if let Some(line) = state.retries.line(event, Instant::now()) {
                    self.screen.line(&self.painted("2", &line));
                }
            }
            Event::Warning { .. } => {
                let line = said(event).unwrap_or_default();
                self.screen.line(&self.painted("33", &line));
            }
            Event::Notice { .. } => self.screen.line(&said(event).unwrap_or_default()),
            Event::Advanced { .. } | Event::ExportJob { .. } | Event::Import(_) => self.step(&mut state, event),
        }
    }
}

impl Drop for Bar {
    /// A run that ends early leaves no half bar behind.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bar)) = state.running.take() {
            bar.finish_and_clear();
        }
        self.screen.set_bar(None);
    }
}

/// `wide_msg` is cut to the width of the terminal at each drawing, so a resize never breaks the line in two.
fn style(terminal: Terminal, bounded: bool) -> ProgressStyle {
    let template = match (bounded, terminal.color) {
        (true, true) => "{spinner:.green} {prefix:<10} {bar:20.green/dim} {wide_msg}",
        (true, false) => "{spinner} {prefix:<10} {bar:20} {wide_msg}",
        (false, true) => "{spinner:.green} {prefix:<10} {wide_msg}",
        (false, false) => "{spinner} {prefix:<10} {wide_msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if terminal.unicode {
        style.progress_chars("━━╌").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
    } else {
        style.progress_chars("=>-").tick_chars("|/-\\ ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_said_above_the_bar_and_strangers_are_tamed() {
        for (color, unicode) in [(true, true), (false, false)] {
            let screen = Screen::captured();
            let bar = Bar::new(screen.clone(), Terminal { interactive: true, color, unicode });
            bar.on(&Event::StageStarted { stage: Stage::Export, total: None });
            bar.on(&Event::ExportJob {
                job_id: "job_1".into(),
                connection: None,
                status: "processing".into(),
                percentage_done: Some(50),
                time_left_seconds: None,
            });
            let state = bar.state.lock().unwrap();
            let (running, drawn) = state.running.as_ref().unwrap();
            assert_eq!((running.total, drawn.position()), (Some(100), 50));
            drop(state);
            bar.on(&Event::Notice { message: "a\u{1b}]0;b".into() });
            bar.on(&Event::StageFinished { stage: Stage::Export, done: 0, elapsed_ms: 1_500 });
            assert!(bar.state.lock().unwrap().running.is_none());
            let text = screen.text();
            assert!(text.starts_with("a\\u{1b}]0;b\n"), "{text}");
            assert_eq!(text.contains('✓'), unicode);
            assert_eq!(text.contains('\u{1b}'), color);
        }
    }
}
