//! The end of a run on standard output: the balance first, then what needs somebody, then where to read on.

use std::{fmt::Write as _, path::Path, time::Duration};

use super::{CodeCount, Paint, Summary, code_lines};
use crate::{
    error::{count, printable, thousands},
    text::time,
};

impl Summary {
    /// The text for standard output.
    #[must_use]
    pub fn text(&self, color: bool, state: &Path) -> String {
        let paint = Paint(color);
        let mut out = String::new();
        self.balance_lines(&mut out, paint);
        for (outcome, heading) in [("unknown", "Unknown"), ("rejected", "Rejected"), ("skipped", "Skipped")] {
            let codes: Vec<&CodeCount> =
                self.codes.iter().filter(|code| code.outcome.as_deref() == Some(outcome)).collect();
            if !codes.is_empty() {
                let _ = writeln!(out, "\n{}", paint.bold(heading));
                code_lines(&mut out, &codes, &self.filtered, paint);
            }
        }
        if !self.findings.is_empty() {
            let _ = writeln!(out, "\n{}", paint.bold("Moved, with a remark"));
            code_lines(&mut out, &self.findings.iter().collect::<Vec<_>>(), &[], paint);
        }
        self.sign_in_lines(&mut out, paint);
        if !self.warnings.is_empty() {
            out.push('\n');
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "{} {}", paint.yellow("warning:"), printable(warning));
        }
        self.foot(&mut out, paint, state);
        out
    }

    fn balance_lines(&self, out: &mut String, paint: Paint) {
        let balance = &self.balance;
        let _ = writeln!(out, "{:<12}{:>12}", "exported", thousands(balance.exported));
        let _ = writeln!(out);
        let lines = [
            ("created", balance.created, ""),
            ("updated", balance.updated, ""),
            ("unchanged", balance.unchanged, ""),
            ("existed", balance.existed, "there before, left alone"),
            ("skipped", balance.skipped, "left out on purpose"),
            ("rejected", balance.rejected, ""),
            ("unknown", balance.unknown, "run again to find out"),
        ];
        let mut sum = 0;
        for (name, users, remark) in lines {
            sum += users;
            if name == "unknown" && users == 0 {
                continue;
            }
            let text = format!("{name:<12}{:>12}", thousands(users));
            let text = match name {
                _ if users == 0 => paint.dim(&text),
                "created" | "updated" => paint.green(&text),
                "rejected" | "unknown" => paint.red(&text),
                _ => text,
            };
            let remark =
                if users == 0 || remark.is_empty() { String::new() } else { format!("  {}", paint.dim(remark)) };
            let _ = writeln!(out, "{text}{remark}");
        }
        let _ = writeln!(out, "{:>24}", "------------");
        let verdict = if sum == balance.exported {
            paint.green("balanced")
        } else {
            // A bug by definition; it must not look like anything else.
            paint.red(&format!("DOES NOT BALANCE: off by {}", thousands(sum.abs_diff(balance.exported))))
        };
        let _ = writeln!(out, "{:>24}  {verdict}", thousands(sum));
    }

    fn foot(&self, out: &mut String, paint: Paint, state: &Path) {
        let _ = writeln!(out);
        let verified = &self.verified;
        if verified.checked > 0 {
            let found =
                format!("{} of {} found in ZITADEL", thousands(verified.found), count(verified.checked, "user"));
            let found = if verified.found < verified.checked { paint.red(&found) } else { paint.green(&found) };
            let _ = writeln!(out, "found       {found}");
        }
        if verified.looked_at > 0 {
            let text = format!("{} compared with ZITADEL", count(verified.looked_at, "user"));
            let text = match (verified.missing, verified.different) {
                (0, 0) => paint.green(&format!("{text}, all as written")),
                (missing, different) => {
                    paint.red(&format!("{text}, {} missing, {} different", thousands(missing), thousands(different)))
                }
            };
            let _ = writeln!(out, "verified    {text}");
            for (kind, users) in &verified.by_kind {
                let _ = writeln!(out, "            {:>8}  {kind}", thousands(*users));
            }
        }
        if let Some(line) = self.structure.as_ref().map(super::structure::summary_line).filter(|line| !line.is_empty())
        {
            let _ = writeln!(out, "from us     {line}");
        }
        if let Some(version) = &self.target.version {
            let version = printable(version);
            let _ = writeln!(
                out,
                "server      ZITADEL {version}; projections that skip events: {}",
                self.target.skips_events
            );
        }
        let timing = &self.timing;
        let parts: Vec<String> = [
            ("export", timing.export_s),
            ("plan", timing.plan_s),
            ("import", timing.import_s),
            ("visible", timing.visible_s),
            ("verify", timing.verify_s),
            ("total", timing.total_s),
        ]
        .into_iter()
        .filter_map(|(name, seconds)| {
            let taken = Duration::try_from_secs_f64(seconds?).ok()?;
            Some(format!("{name} {}", time(taken)))
        })
        .collect();
        if !parts.is_empty() {
            let _ = writeln!(out, "time        {}", parts.join(", "));
        }
        let _ = writeln!(out, "reports     {}", state.join("report.html").display());
        let _ = writeln!(out, "            {}", state.join("outcomes.ndjson").display());
        let _ = writeln!(out, "next        {}", self.next());
    }

    /// What to do now.
    #[must_use]
    pub fn next(&self) -> String {
        let balance = &self.balance;
        if balance.unknown > 0 {
            "run the same command again: it goes on where this run stopped".into()
        } else if self.verified.missing + self.verified.different > 0 {
            "look at the users who differ (`report.html`) in ZITADEL's console, then run `a2z verify`".into()
        } else if balance.rejected > 0 {
            format!(
                "mend the {} above, then run the same command again: it sends what is left or changed",
                count(balance.rejected, "user")
            )
        } else if balance.created + balance.updated > 0 {
            "run again just before the switch: it moves only what changed since".into()
        } else {
            "nothing to do".into()
        }
    }
}
