//! What a cutover would do, on standard output, before the first write.

use std::{fmt::Write as _, time::Duration};

use super::{CodeCount, Paint, RuleCount, code_lines};
use crate::{
    error::{printable, thousands},
    text::time,
};

/// What a plan came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanSummary {
    /// Rows of the export.
    pub exported: u64,
    /// Not in ZITADEL yet.
    pub to_create: u64,
    /// From this ledger, and changed since.
    pub to_update: u64,
    /// Of those: users who keep a value that was changed in ZITADEL.
    pub keeping: u64,
    /// From this ledger, and the same.
    pub unchanged: u64,
    /// In ZITADEL, not from this ledger: left alone.
    pub existed: u64,
    /// Why users (or rows) cannot be moved.
    pub blocked: Vec<CodeCount>,
    /// Why rows are left out on purpose.
    pub skipped: Vec<CodeCount>,
    /// Users that a rule leaves out, by the rule's words.
    pub filtered: Vec<RuleCount>,
    /// What else there is to say.
    pub findings: Vec<CodeCount>,
    /// Users to send by `/admin/v1/import`, in batches.
    pub by_import: u64,
    /// Users to send one by one.
    pub by_users_api: u64,
    /// The hash audit, a line each.
    pub hashes: Vec<String>,
    /// The second factors, a line each.
    pub factors: Vec<String>,
    /// Which identity provider stands for which connection, a line each.
    pub providers: Vec<String>,
    /// Roles and organizations, a line each.
    pub structure: Vec<String>,
    /// What to think about before the first write.
    pub warnings: Vec<String>,
    /// How long the import may take.
    pub estimate: Option<Duration>,
}

impl PlanSummary {
    /// Is there anything to write?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to_create + self.to_update == 0
    }

    /// The text for standard output.
    #[must_use]
    pub fn text(&self, color: bool) -> String {
        let paint = Paint(color);
        let mut out = String::new();
        if !self.hashes.is_empty() {
            let _ = writeln!(out, "{}", paint.bold("Hashes"));
            for line in &self.hashes {
                let _ = writeln!(out, "  {}", printable(line));
            }
            out.push('\n');
        }
        if !self.factors.is_empty() {
            let _ = writeln!(out, "{}", paint.bold("Second factors"));
            for line in &self.factors {
                let _ = writeln!(out, "  {}", printable(line));
            }
            out.push('\n');
        }
        if !self.providers.is_empty() {
            let _ = writeln!(out, "{}", paint.bold("Identity providers"));
            for line in &self.providers {
                let _ = writeln!(out, "  {}", printable(line));
            }
            out.push('\n');
        }
        if !self.structure.is_empty() {
            let _ = writeln!(out, "{}", paint.bold("Roles and organizations"));
            for line in &self.structure {
                let _ = writeln!(out, "  {}", printable(line));
            }
            out.push('\n');
        }
        for (heading, codes) in
            [("Blocked", &self.blocked), ("Skipped", &self.skipped), ("Moved, with a remark", &self.findings)]
        {
            if !codes.is_empty() {
                let _ = writeln!(out, "{}", paint.bold(heading));
                code_lines(&mut out, &codes.iter().collect::<Vec<_>>(), &self.filtered, paint);
                out.push('\n');
            }
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "{} {}", paint.yellow("warning:"), printable(warning));
        }
        if !self.warnings.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{}", self.headline(paint));
        if !self.is_empty() {
            let mut roads = Vec::new();
            if self.by_import > 0 {
                roads.push(format!("{} in batches", thousands(self.by_import)));
            }
            if self.by_users_api > 0 {
                roads.push(format!("{} one by one", thousands(self.by_users_api)));
            }
            let estimate = self.estimate.map(|estimate| {
                if estimate < Duration::from_mins(1) {
                    "under a minute".into()
                } else {
                    format!("about {}", time(estimate))
                }
            });
            roads.extend(estimate);
            if !roads.is_empty() {
                let _ = writeln!(out, "{}", paint.dim(&format!("  {}", roads.join(", "))));
            }
        }
        out
    }

    /// `~ 14 to update, 9 keep a value of ZITADEL`.
    fn update_text(&self) -> String {
        let text = format!("~ {} to update", thousands(self.to_update));
        match self.keeping {
            0 => text,
            1 => format!("{text}, 1 keeps a value of ZITADEL"),
            n => format!("{text}, {} keep a value of ZITADEL", thousands(n)),
        }
    }

    /// `Plan: + 120,342 to create  ~ 14 to update  = 0 unchanged  ! 37 blocked`.
    fn headline(&self, paint: Paint) -> String {
        let sum = |codes: &[CodeCount]| codes.iter().map(|code| code.users).sum::<u64>();
        let (blocked, skipped) = (sum(&self.blocked), sum(&self.skipped));
        let mut parts = vec![
            paint.green(&format!("+ {} to create", thousands(self.to_create))),
            paint.yellow(&self.update_text()),
            format!("= {} unchanged", thousands(self.unchanged)),
        ];
        if self.existed > 0 {
            parts.push(format!("= {} there already", thousands(self.existed)));
        }
        if skipped > 0 {
            parts.push(format!("- {} skipped", thousands(skipped)));
        }
        let blocked_text = format!("! {} blocked", thousands(blocked));
        parts.push(if blocked > 0 { paint.red(&blocked_text) } else { blocked_text });
        format!(
            "{} {}",
            paint.bold(&format!("Plan for {}:", crate::error::count(self.exported, "user"))),
            parts.join("  ")
        )
    }
}
